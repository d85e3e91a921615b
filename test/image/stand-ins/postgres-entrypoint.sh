#!/bin/sh
# As root: gives the data directory to its user and goes on as that user.
set -eu
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA"
  chown postgres "$PGDATA"
  chmod 700 "$PGDATA"
  exec setpriv --reuid=70 --regid=70 --clear-groups sh "$0"
fi
bin=/usr/local/pgsql/bin
user=${POSTGRES_USER:-postgres}
if [ ! -f "$PGDATA/PG_VERSION" ]; then
  "$bin/initdb" -D "$PGDATA" -U "$user" -E UTF8 --locale=C.UTF-8 --no-sync --auth="${POSTGRES_HOST_AUTH_METHOD:-trust}" > /dev/null
  echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-trust}" >> "$PGDATA/pg_hba.conf"
  "$bin/pg_ctl" -D "$PGDATA" -w start -o "-c listen_addresses= -c unix_socket_directories=/tmp" > /dev/null
  if [ "$user" != postgres ] && [ -z "${POSTGRES_DB:-}" ]; then POSTGRES_DB=$user; fi
  if [ "${POSTGRES_DB:-postgres}" != postgres ]; then psql -q -h /tmp -U "$user" -d postgres -c "create database \"$POSTGRES_DB\""; fi
  for file in /docker-entrypoint-initdb.d/*.sql; do
    if [ -f "$file" ]; then psql -q -h /tmp -U "$user" -d "${POSTGRES_DB:-postgres}" -f "$file"; fi
  done
  "$bin/pg_ctl" -D "$PGDATA" -w stop > /dev/null
fi
exec "$bin/postgres" -D "$PGDATA" -c 'listen_addresses=*' -c unix_socket_directories=/tmp
