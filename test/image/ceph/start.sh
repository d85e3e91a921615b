#!/usr/bin/env bash
# Starts monitor, store and gateway; ends when the gateway does. Key `testkey`, secret `testsecret`, port 7480.
set -euo pipefail
osd=5b0c6a0e-93a7-4b0e-8a32-2a5a3f7f9d00
mkdir -p /var/lib/ceph/mon /var/lib/ceph/osd/ceph-0 /run/ceph
monmaptool --create --clobber --fsid 7a5f0f3e-2f3c-4c55-9d2e-5a0c0b8c7e11 --addv a '[v2:127.0.0.1:3300,v1:127.0.0.1:6789]' /run/ceph/monmap > /dev/null
ceph-mon --mkfs -i a --monmap /run/ceph/monmap
ceph-mon -f -i a &
ceph --connect-timeout 30 osd new "$osd" 0
ceph-osd --mkfs -i 0 --osd-uuid "$osd"
ceph-osd -f -i 0 &
for pool in index data non-ec; do
  ceph osd pool create "default.rgw.buckets.$pool" 1
  ceph osd pool application enable "default.rgw.buckets.$pool" rgw
done
timeout 60 radosgw-admin user create --uid=test --display-name=test --access-key=testkey --secret=testsecret > /dev/null
# Whom a policy lets into one folder.
timeout 60 radosgw-admin user create --uid=limited --display-name=limited --access-key=limitedkey --secret=limitedsecret > /dev/null
exec radosgw -f -n client.rgw.a
