// `restore.sh`: the kit's stock commands as one script, for whoever has a bucket and no kit, and for whoever does not want to type.
// It is the same for everybody, so that it lies beside the backups before anybody needs it, and says nothing of them.

import { createHash } from 'node:crypto';
import { folders } from '../schedule/tier.ts';
import { findObject, isWhole } from './stock-objects.ts';
import {
  compareAllRows,
  defineSessions,
  loginMark,
  makeExtensions,
  moveAllSequences,
  notRestored,
  withManifest,
} from './stock-database.ts';

/** The script; it ends with status 0 and `ok` when every table has the rows that the manifest counts. */
export const restoreScript = String.raw`#!/bin/sh
# Restores the newest backup of a Mastodon's database that mastodon-backup has made, with stock tools alone: curl 7.87 (for a
# bucket), age, xz or zstd, tar, and PostgreSQL's clients, not older than those that dumped. It works in the current directory.
#
#   INSTANCE=social.example     whose backup
#   BUCKET=https://HOST/BUCKET PREFIX=FOLDER/ REGION=auto, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; or DIR=/backups
#   PGHOST, PGUSER, PGPASSWORD  a superuser of the new server; or PG='docker compose exec -T -e PGUSER=postgres db',
#                               or as root beside Debian's PostgreSQL PG='runuser -u postgres --'
#   perhaps KEY=key.txt         the age private key, for encrypted backups
#   perhaps MANIFEST=daily/ID.json, DB=NAME, ROLE=NAME
#   perhaps a file allowed_signers as ssh-keygen has it: only what one of them has signed counts
#
# It overwrites nothing: a database of that name ends it; only one called postgres is moved aside, as postgres_before.
set -eu
umask 077
WORK=$PWD FROM=\${DIR:-$PWD} KEY=\${KEY:-key.txt} PREFIX=\${PREFIX:-} MANIFEST=\${MANIFEST:-}
TIERS='${folders.join(' ')}'

pg() { \${PG:-} "$@"; }

s3() {
  curl -fsS -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 "aws:amz:$REGION:s3" \
    --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$@"
}

# Some text as it stands in the query of an address; what is signed wants capital letters.
escaped() {
  printf %s "$1" | od -An -v -to1 | tr -s ' ' '\n' | while read -r BYTE; do
    case $BYTE in
      '') ;;
      05[56] | 06? | 07[01] | 10[1-7] | 11? | 12? | 13[0127] | 14[1-7] | 15? | 16? | 17[0126]) printf "\\$BYTE" ;;
      *) printf '%%%02X' "0$BYTE" ;;
    esac
  done
}

# keys TIER: all of them, a thousand at a time. A page that does not come ends it: what is newest may be on that one.
keys() {
  TOKEN=
  while :; do
    PAGE=$(s3 "$BUCKET?\${TOKEN:+continuation-token=$(escaped "$TOKEN")&}list-type=2&prefix=$(escaped "$PREFIX$1/")")
    printf '%s\n' "$PAGE" | grep -o '<Key>[^<]*' | cut -c 6- |
      while read -r ONE; do printf '%s\n' "\${ONE#"$PREFIX"}"; done
    case $PAGE in *'<IsTruncated>true<'*) ;; *) return 0 ;; esac
    TOKEN=$(printf '%s\n' "$PAGE" | sed -n 's/.*<NextContinuationToken>\([^<]*\)<.*/\1/p' |
      sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&amp;/\&/g')
    [ -n "$TOKEN" ] || { echo "The bucket does not say how its list of $1 goes on" >&2; exit 1; }
  done
}

# Those of some names that are ours: of another one nobody knows what a shell makes of it.
ours() { grep -x '[a-z]*/[0-9][0-9TZa-f-]*[.][a-z0-9.-]*'; }

# get PATTERN: the objects of that name into FROM; a directory has them already.
get() {
  [ -z "\${DIR:-}" ] || return 0
  ours < "$WORK/keys" | grep -e "$1" | while read -r ONE; do
    s3 --create-dirs -o "$FROM/$ONE" "$BUCKET/$PREFIX$ONE" || exit 1
  done
}

# A word of the manifest.
value() { sed -n "s/^ *\"$1\": \"\(.*\)\",*\$/\1/p" "$FROM/$MANIFEST" | head -n 1; }

# Those of some manifests that count: signed by who is trusted, and not the copy of another one.
counting() {
  while read -r MANIFEST; do
    [ ! -e "$WORK/allowed_signers" ] ||
      ssh-keygen -Y verify -f "$WORK/allowed_signers" -I mastodon-backup -n mastodon-backup \
        -s "$FROM/$MANIFEST.sig" < "$FROM/$MANIFEST" > /dev/null 2>&1 || continue
    [ "$(value tier)/$(value id).json" = "$MANIFEST" ] ||
      { echo "$MANIFEST is passed over: it is a copy of another one" >&2; continue; }
    echo "$MANIFEST"
  done
}

# Those that are not dated in the future, each behind its time.
past() {
  NOW=$(date -u -d "@$(($(date +%s) + 300))" +%Y-%m-%dT%H:%M:%SZ 2> /dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)
  while read -r MANIFEST; do
    AT=$(value dataAt)
    case $AT in '' | *[!0-9TZ:.-]*) continue ;; esac
    if [ "$AT" \> "$NOW" ]; then echo "$MANIFEST is passed over: its $AT is yet to come, by the clock here" >&2
    else echo "$AT $MANIFEST"; fi
  done
}

plain() {
  case $1 in *.age) age -d -i "$KEY" "$1" ;; *) cat "$1" ;; esac |
    case \${1##*/} in *.xz*) xz -d ;; *.zst*) zstd -d --long=27 ;; *) cat ;; esac
}

# Whether there is such a part; the manifest says so, and not what somebody has put beside it.
has() { [ -e "$1" ] && grep -qF "\"name\": \"\${1##*/}\"" "$FROM/$MANIFEST"; }

# Ends it unless a part has the SHA-256 that the manifest names for it.
whole() {
  {
    ${isWhole}
  } || { echo "DAMAGED: $1"; exit 1; }
}

[ -z "\${DIR:-}" ] || [ -z "\${BUCKET:-}" ] || { echo 'Say where the backups are, by DIR or by BUCKET: both are set'; exit 1; }

echo '1. Fetch and check'
[ -e "$WORK/allowed_signers" ] || echo 'No signature is checked: there is no file allowed_signers here'
if [ -z "\${DIR:-}" ]; then
  for TIER in $TIERS; do keys "$TIER"; done > "$WORK/keys"
fi
get '\.json'
if [ -z "$MANIFEST" ]; then
  MANIFEST=$({
    cd "$FROM"
    for TIER in $TIERS; do grep -lsF "\"instance\": \"$INSTANCE\"" "$TIER"/*.json || :; done
  } | ours | counting | past | sort | tail -n 1 | cut -d ' ' -f 2)
else
  case $MANIFEST in *.json) ;; *) echo 'The name of a MANIFEST ends in .json'; exit 1 ;; esac
  [ -n "$(echo "$MANIFEST" | ours | counting)" ] || { echo 'Nobody who is trusted has signed it'; exit 1; }
  # Several may share a bucket.
  [ -z "\${INSTANCE:-}" ] || grep -qF "\"instance\": \"$INSTANCE\"" "$FROM/$MANIFEST" ||
    { echo "It is a backup of $(value instance | tr -dc A-Za-z0-9:.-), and not of $INSTANCE"; exit 1; }
fi
[ -n "$MANIFEST" ] || { echo "There is no backup of $INSTANCE that counts"; exit 1; }
SNAPSHOT=\${MANIFEST%.json}
echo "$SNAPSHOT, data of $(value dataAt | tr -dc 0-9TZ:.-)"
get "$SNAPSHOT\\."
${findObject}
SECRETS=$FROM/$SNAPSHOT.secrets.env.age EXTRA=$FROM/$SNAPSHOT.extra.tar.age
whole "$OBJECT"
for PART in "$SECRETS" "$EXTRA"; do ! has "$PART" || whole "$PART"; done

echo "2. Unpack; Mastodon's settings are in .env.production.restored, files of your own in extra"
plain "$OBJECT" > dump
if has "$SECRETS"; then plain "$SECRETS" > .env.production.restored
elif [ -e .env.production.restored ]; then echo 'This backup has no settings: .env.production.restored is of an earlier one'; fi
# Not once more where it is run again.
[ ! -e extra ] || echo 'extra is left as it is: move it away where it is not of this backup, and run this again'
! has "$EXTRA" || [ -e extra ] || {
  rm -rf extra.new
  mkdir extra.new
  plain "$EXTRA" | tar -xf - -C extra.new
  mv extra.new extra
}

DB=\${DB:-$(value name)} ROLE=\${ROLE:-$(value role)}
ROLE=\${ROLE:-mastodon}
# Whoever may write the bucket says these.
case $DB$ROLE in *[!A-Za-z0-9_.-]*) echo 'Say what the database and its owner are to be called: DB=… ROLE=…'; exit 1 ;; esac
echo "3. Restore into $DB, for $ROLE"
# Who asks, and the superuser above all, finds nothing but the server's own functions, whatever a dump has made of the same name.
${defineSessions.join('\n')}
ask -d template1 -c 'select' < /dev/null > /dev/null ||
  { echo 'No server answers yet: start it, say by PG or PGHOST how it is reached, and run this again'; exit 1; }
ask -d template1 -c 'select rolname from pg_roles' < /dev/null | grep -qxF -e "$ROLE" || pg createuser -- "$ROLE" < /dev/null

# A dump is code. It runs in a login of its own without rights, which is gone when this ends, however it does.
random() { tr -dc 0-9a-f < /dev/urandom | head -c "$1"; }
LOGIN=mastodon_backup_$(random 12) PASSWORD=$(random 40) HERE= MADE= LIST=
PASSFILE=$(pg mktemp /tmp/restore.XXXXXX < /dev/null)
away() {
  trap - EXIT
  pg rm -f "$PASSFILE" "$LIST" < /dev/null || :
  ask -d template1 -c "alter role $LOGIN nologin" < /dev/null || :
  # A session that ends owns its temporary tables until it has dropped them.
  for TRY in 1 2 3 4 5 6 7 8 9; do
    LEFT=$(ask -d template1 -c "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '$LOGIN'" < /dev/null) || break
    [ "$LEFT" != 0 ] || break
    sleep 1
  done
  {
    [ -z "$MADE" ] || ask -d "$DB" -c "reassign owned by $LOGIN to \"$ROLE\"" -c "drop owned by $LOGIN" < /dev/null
  } && ask -d template1 -c "drop role $LOGIN" < /dev/null ||
    { echo "The role $LOGIN is left: in $DB, reassign owned by $LOGIN to \"$ROLE\"; drop role $LOGIN"; return 1; }
}
trap 'away || :; [ -z "$MADE" ] || echo "$DB is not whole: drop it, and run this again"' EXIT
trap 'exit 130' HUP INT TERM
echo "*:*:*:*:$PASSWORD" | pg sh -c 'cat > "$0"' "$PASSFILE"
ask -1 -d template1 << END
select pg_catalog.format('create role %I login password %L valid until %L', '$LOGIN', '$PASSWORD', pg_catalog.now() + interval '7 days') \gexec
comment on role $LOGIN is '${loginMark}';
END
reaches() { login psql -wqXd template1 -c 'select' < /dev/null > /dev/null 2>&1; }
reaches || {
  HERE="PGHOST=127.0.0.1 PGPORT=$(ask -d template1 -c 'show port' < /dev/null)"
  reaches
} || {
  echo "The server lets nobody in but the superuser, as whom no dump may run, for it is code: give its pg_hba.conf the line"
  echo "  host all all 127.0.0.1/32 scram-sha-256"
  echo "(or with the address that you reach it from), have it read (select pg_reload_conf()), and run this again"
  exit 1
}
[ "$DB" != postgres ] || ask -d template1 -c 'alter database postgres rename to postgres_before' < /dev/null
create() {
  pg createdb --maintenance-db=template1 -T template0 -E "$(value encoding)" -O "$LOGIN" "$@" -- "$DB" < /dev/null
}
# Sorting by ICU or by the server's own rules, which the manifest names behind the provider.
PROVIDER=$(value provider) LOCALE=$(sed -n '/"provider"/{n;s/^ *"name": "\(.*\)".*/\1/p;}' "$FROM/$MANIFEST" | head -n 1)
set -- --lc-collate="$(value collation)" --lc-ctype="$(value ctype)"
case $PROVIDER in icu | builtin) set -- "$@" --locale-provider="$PROVIDER" "--$PROVIDER-locale=$LOCALE" ;; esac
create "$@" || {
  create --locale=C.UTF-8
  echo "It sorts by C.UTF-8, for this server has not what the old one sorted by"
}
MADE=yes
# What only a superuser may create, while nothing of the dump is there; it prints the entries that are not needed any more.
${withManifest(makeExtensions)} | ask -d "$DB" > made
pg pg_restore -l < dump | grep -vE '^[0-9]+; [0-9]+ [0-9]+ (${notRestored.join('|')}) ' | grep -vFf made > entries
LIST=$(pg mktemp /tmp/restore.XXXXXX < /dev/null)
pg sh -c 'cat > "$0"' "$LIST" < entries
login pg_restore --exit-on-error --no-owner --no-privileges -L "$LIST" -d "$DB" < dump
login psql -qXd "$DB" -c analyze < /dev/null

echo '4. Compare every table, and move sequences ahead of ids that other servers have seen'
DIFFERENT=$(${withManifest(compareAllRows)} | login psql -qXAt -v ON_ERROR_STOP=1 -d "$DB")
[ -z "$DIFFERENT" ] || { echo "DIFFERENT: $DIFFERENT"; exit 1; }
login psql -qXAt -v ON_ERROR_STOP=1 -d "$DB" -c "${moveAllSequences}" < /dev/null
away
rm -f dump entries made keys
! grep -q '^DB_PASS=.' .env.production.restored 2> /dev/null || echo "The role has no password yet; in psql: \\password $ROLE"
echo ok
`.replaceAll(String.raw`\${`, '${');

/** SHA-256 of the script, in hexadecimal. */
export const restoreScriptSha256 = createHash('sha256').update(restoreScript).digest('hex');

/** What it is called beside the backups: another one has another name, for nothing there is ever written over. */
export const restoreScriptName = `restore-${restoreScriptSha256.slice(0, 8)}.sh`;
