#!/bin/sh
# Puts PostgreSQL's client programs and its servers for drills and moments into the image, with the libraries they load and nothing
# else: their packages also bring Perl, cluster scripts and a compiler for JIT, which is most of their size.
#
# PG_SOURCE   pgdg (PostgreSQL's own apt repository, all majors) or debian (the one major of this release)
# PG_CLIENTS  majors of pg_dump and pg_restore; PG_SERVERS majors of servers; a moment is replayed by its own major alone
set -eu
export DEBIAN_FRONTEND=noninteractive

case "$PG_SOURCE" in
  pgdg)
    : "${PG_CLIENTS:=14 15 16 17 18}" "${PG_SERVERS:=$PG_CLIENTS}"
    ;;
  debian)
    release=$(apt-cache depends postgresql-client | sed -n 's/.*Depends: postgresql-client-\([0-9]*\)$/\1/p')
    : "${PG_CLIENTS:=$release}" "${PG_SERVERS:=$release}"
    ;;
  *)
    echo "PG_SOURCE is '$PG_SOURCE': write pgdg or debian" >&2
    exit 1
    ;;
esac

before=$(apt-mark showmanual)
apt-get install -y --no-install-recommends postgresql-common
if [ "$PG_SOURCE" = pgdg ]; then
  # The package has the repository's key. Debian packages are authenticated by their signature, so http will do.
  # shellcheck source=/dev/null
  . /etc/os-release
  echo "deb [signed-by=/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc] http://apt.postgresql.org/pub/repos/apt $VERSION_CODENAME-pgdg main" \
    > /etc/apt/sources.list.d/pgdg.list
  apt-get update
fi
mkdir -p /etc/postgresql-common
echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
packages=
for major in $PG_SERVERS; do packages="$packages postgresql-$major"; done
for major in $PG_CLIENTS; do packages="$packages postgresql-client-$major"; done
# shellcheck disable=SC2086 # a list
apt-get install -y --no-install-recommends $packages

# What is wanted is set aside while the packages go.
kept=$(mktemp -d)
keep() {
  for file in "$@"; do
    mkdir -p "$kept$(dirname "$file")"
    cp -a "$file" "$kept$file"
  done
}
for major in $PG_CLIENTS; do
  bin=/usr/lib/postgresql/$major/bin
  keep "$bin/pg_dump" "$bin/pg_restore" "$bin/psql" "$bin/createdb"
done
for major in $PG_SERVERS; do
  bin=/usr/lib/postgresql/$major/bin
  lib=/usr/lib/postgresql/$major/lib
  keep "$bin/initdb" "$bin/postgres" "$lib" "/usr/share/postgresql/$major"
  rm -rf "$kept$lib/bitcode" "$kept$lib/pgxs" "$kept/usr/share/postgresql/$major/man"
  rm -f "$kept$lib"/llvmjit*
done
# Scanners of the image look here for packages that dpkg does not know (any more).
mkdir -p "$kept/var/lib/dpkg/status.d"
for package in $packages; do dpkg-query -s "$package" > "$kept/var/lib/dpkg/status.d/$package"; done

libraries=$(find "$kept" -type f \( -perm -u+x -o -name '*.so' \) -exec ldd {} + 2> /dev/null \
  | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u)
# dpkg knows files below /usr/lib by that name, the linker by /lib.
needed=$(for library in $libraries; do
  dpkg-query -S "$(realpath "$library")" 2> /dev/null || dpkg-query -S "$library" 2> /dev/null || true
done | sed 's/: .*//' | sort -u)
# shellcheck disable=SC2086 # lists
{
  apt-mark auto '.*' > /dev/null
  apt-mark manual $before $needed > /dev/null
  apt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false -o APT::AutoRemove::SuggestsImportant=false \
    $packages postgresql-common
}
rm -rf /usr/lib/postgresql /usr/share/postgresql /usr/share/postgresql-common /etc/postgresql /etc/postgresql-common \
  /var/lib/postgresql /etc/apt/sources.list.d/pgdg.list
cp -a "$kept/." /
rm -rf "$kept"

for major in $PG_CLIENTS; do "/usr/lib/postgresql/$major/bin/pg_dump" --version; done
for major in $PG_SERVERS; do "/usr/lib/postgresql/$major/bin/postgres" --version; done
! find /usr/lib/postgresql -type f \( -perm -u+x -o -name '*.so' \) -exec ldd {} + 2> /dev/null | grep 'not found'
