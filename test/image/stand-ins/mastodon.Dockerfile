# Stands in for Mastodon's image and for redis:7-alpine: a Redis of Debian's, and a tootctl that says what it was asked and whether
# it finds database and Redis by the settings that it was given.
FROM mastodon-backup-test/debian:trixie
RUN apt-get update -q && apt-get install -y --no-install-recommends postgresql-client redis-server redis-tools \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /opt/mastodon
COPY --chmod=0755 tootctl bin/tootctl
CMD ["sleep", "infinity"]
