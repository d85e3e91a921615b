#!/bin/sh
# Keeps in NODE_COMPILE_CACHE what Node compiles of the program for the commands that are started again and again, and for a bucket.
# Node names the folder by the processor's features and the user: it is the same one for root, who builds, and for the image's own user.
# Any other, or another processor, compiles as without it. Nobody writes into it later: it is code.
set -eu
home=$(mktemp -d)
mkdir "$home/backups"
for command in health status list; do
  # There is no backup yet, which is a failure of `health`.
  env -i PATH="$PATH" NODE_COMPILE_CACHE="$NODE_COMPILE_CACHE" BACKUP_LOCAL_DIR="$home/backups" BACKUP_STATE_DIR="$home/state" \
    mastodon-backup "$command" > /dev/null 2>&1 || true
done
node --input-type=module -e 'await import(process.argv[1])' "$1/storage/s3-store.js"
rm -rf "$home"
for folder in "$NODE_COMPILE_CACHE"/*-0; do
  [ -d "$folder" ]
  ln -s "$(basename "$folder")" "${folder%-0}-$2"
done
# Node makes its files for one user alone.
chmod -R a+rX,go-w "$NODE_COMPILE_CACHE"
