# Stands in for node:26-trixie-slim where no public image can be pulled: Debian, and Node from npm's packages.
FROM mastodon-backup-test/debian:trixie AS unpacked
ADD node.tgz /tmp/node/
ADD npm.tgz /tmp/npm/
RUN mkdir -p /out/lib/node_modules && cp -a /tmp/node/package/bin /tmp/node/package/include /out/ \
  && mv /tmp/npm/package /out/lib/node_modules/npm \
  && ln -s ../lib/node_modules/npm/bin/npm-cli.js /out/bin/npm

FROM mastodon-backup-test/debian:trixie
RUN apt-get update -q && apt-get install -y --no-install-recommends libatomic1 libstdc++6 \
  && rm -rf /var/lib/apt/lists/* /var/cache/apt/* \
  && groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home node
COPY --from=unpacked /out /usr/local
RUN node --version && npm --version
