# Stands in for postgres:<major>-alpine where no public image can be pulled: the embedded server, with as much of the public
# image's start as Mastodon's compose file and ours use.
FROM mastodon-backup-test/debian:trixie
ARG DATA=/var/lib/postgresql/data
ARG VOLUME=$DATA
RUN apt-get update -q && apt-get install -y --no-install-recommends postgresql-client \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
  && useradd --uid 70 --create-home postgres && install -d -o postgres -m 700 $DATA
COPY native /usr/local/pgsql
COPY postgres-entrypoint.sh /usr/local/bin/
ENV PGDATA=$DATA PGHOST=/tmp LC_ALL=C.UTF-8
VOLUME $VOLUME
STOPSIGNAL SIGINT
ENTRYPOINT ["sh", "/usr/local/bin/postgres-entrypoint.sh"]
