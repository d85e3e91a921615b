#!/bin/sh
# Gives systemd what a machine has and the container of an engine has not: the one hierarchy of control groups that it knows since
# version 258, and mounts that its services share, by which credentials reach them.
set -eu
umount -R /sys/fs/cgroup
mount -t cgroup2 -o nosuid,noexec,nodev cgroup2 /sys/fs/cgroup
mount --make-rshared /
exec /lib/systemd/systemd
