#!/bin/sh
# Copies the files that people have uploaded to Mastodon, with rclone: new ones are added, and what is removed from Mastodon is moved
# aside and kept for a while. Without EVERY it does so once.
#
#   MEDIA     where they are: /system (public/system, mounted), or media:BUCKET with RCLONE_CONFIG_MEDIA_…
#   COPY      where they go: copy:BUCKET/media with RCLONE_CONFIG_COPY_…, or a directory
#   KEEP      how long what was removed stays (30d)
#   EVERY     how often (24h)
#   PING_URL  a dead man's switch of its own
set -u
: "${MEDIA:?}" "${COPY:?}"
export RCLONE_CONFIG="${RCLONE_CONFIG:-/dev/null}"

ping() { [ -z "${PING_URL:-}" ] || wget -q -T 20 -O /dev/null "$PING_URL$1" || echo "The ping $1 failed" >&2; }

copy() {
  # A disk that is not mounted, or a bucket that was emptied, is not copied: all would be moved aside.
  if [ -z "$(rclone lsf --max-depth 1 --exclude '/cache/**' "$MEDIA" | head -n 1)" ]; then
    echo "There is nothing in $MEDIA" >&2
    return 1
  fi
  # Mastodon never changes a file under its name, so size is enough, and nothing has to be asked for file by file.
  rclone sync "$MEDIA" "$COPY/files" --exclude '/cache/**' --size-only --fast-list --transfers 8 \
    --backup-dir "$COPY/removed" --suffix ".$(date -u +%Y%m%dT%H%M%SZ)" &&
    # By when it was moved, not by when it was uploaded.
    rclone delete "$COPY/removed" --use-server-modtime --min-age "${KEEP:-30d}"
}

while :; do
  ping /start
  if copy; then ping '' && STATUS=0; else ping /fail; STATUS=1; fi
  [ -n "${EVERY:-}" ] || exit $STATUS
  sleep "$EVERY"
done
