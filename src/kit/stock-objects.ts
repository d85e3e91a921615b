// The commands that fetch a snapshot with nothing but stock tools, and say whether it is whole and ours, filled in for one instance. They are
// pasted into one POSIX shell one after the other and share WORK, FROM, MANIFEST and OBJECT, and `get`; a test runs every one of them.

import type { CompressionName } from '../codec/codec.ts';
import type { S3Settings } from '../config/bucket.ts';
import { folders } from '../schedule/tier.ts';
import { shellQuote } from './shell-word.ts';

/** A bucket as the commands need it: no key of it is part of them. */
export interface StockBucket extends Pick<S3Settings, 'bucket' | 'endpoint' | 'region' | 'prefix'> {
  readonly provider: 'Cloudflare' | 'AWS' | 'Other';
}

/** How an object is encoded. */
export interface StockEncoding {
  readonly compression: CompressionName;
  readonly encrypted: boolean;
}

/** Remembers the directory with the private key, into which objects are fetched, so that the others work from anywhere. */
export const rememberDirectory = 'WORK=$PWD FROM=$PWD';

/** `get PATTERN` downloads the objects of that name into FROM, with the AWS client. */
export function getWithAws(bucket: StockBucket): readonly string[] {
  const endpoint = bucket.endpoint === null ? '' : ` --endpoint-url ${shellQuote(bucket.endpoint)}`;
  const source = shellQuote(`s3://${bucket.bucket}/${bucket.prefix}`);
  return [
    // Newer clients add checksums that R2 and older gateways refuse.
    `export AWS_DEFAULT_REGION=${shellQuote(bucket.region)} AWS_REQUEST_CHECKSUM_CALCULATION=when_required AWS_RESPONSE_CHECKSUM_VALIDATION=when_required`,
    `get() { aws${endpoint} s3 cp --recursive ${source} "$FROM" --exclude '*' --include "$1"; }`,
  ];
}

/** The same with rclone. */
export function getWithRclone(bucket: StockBucket): readonly string[] {
  const endpoint = bucket.endpoint === null ? '' : ` --s3-endpoint ${shellQuote(bucket.endpoint)}`;
  const source = shellQuote(`:s3:${bucket.bucket}/${bucket.prefix}`);
  const options = `--s3-provider ${bucket.provider} --s3-env-auth --s3-region ${shellQuote(bucket.region)}${endpoint}`;
  return [`get() { rclone copy ${options} ${source} "$FROM" --include "$1"; }`];
}

/** The same with curl alone, which takes no tier with more than 1,000 objects; none for a folder that needs escapes. */
export function getWithCurl(bucket: StockBucket): readonly string[] {
  if (!/^[\w./-]*$/.test(bucket.prefix)) return [];
  const address = `${bucket.endpoint ?? `https://s3.${bucket.region}.amazonaws.com`}/${bucket.bucket}`;
  const list = `"${address}?list-type=2&prefix=${encodeURIComponent(bucket.prefix)}$TIER%2F"`;
  const column = '<Key>'.length + bucket.prefix.length + 1;
  return [
    // curl 7.88 signs only for servers that do not look, unless it is told what the payload is.
    `s3() { curl -fsS -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --aws-sigv4 aws:amz:${bucket.region}:s3 --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY" "$@"; }`,
    // A list that is not whole ends it, for the newest may be on another page. Another name than ours, as one that leads out of the
    // directory, is nobody's backup.
    `keys() { for TIER in ${folders.join(' ')}; do PAGE=$(s3 ${list}) || return; case $PAGE in *'<IsTruncated>true<'*) echo "$TIER: too many objects for curl alone" >&2; return 1;; esac; printf '%s\\n' "$PAGE" | grep -o '<Key>[^<]*' | cut -c ${column}- | grep -x '[a-z]*/[0-9][0-9TZa-f-]*[.][a-z0-9.-]*' || :; done; }`,
    `get() { KEYS=$(keys) && printf '%s\\n' "$KEYS" | while read -r KEY; do case $KEY in $1) s3 --create-dirs -o "$FROM/$KEY" "${address}/${bucket.prefix}$KEY" || exit 1;; esac; done; }`,
  ];
}

/** Where the backups are in a directory. */
export function useDirectory(directory: string): string {
  return `FROM=${shellQuote(directory)}`;
}

/** Downloads all manifests. */
export const getManifests = "get '*.json'";

/** Downloads the objects of the snapshot in MANIFEST. */
export const getObjects = 'get "${MANIFEST%.json}.*"';

/** Downloads all signatures of manifests. */
export const getSignatures = "get '*.json.sig'";

/** `signed` passes on those of some manifests below FROM that one of these keys has signed. */
export function checkSignatures(signers: readonly string[]): readonly string[] {
  const lines = signers.map((signer) => shellQuote(`mastodon-backup ${signer}`)).join(' ');
  const verify =
    'ssh-keygen -Y verify -f "$WORK/allowed_signers" -I mastodon-backup -n mastodon-backup -s "$FROM/$ONE.sig" < "$FROM/$ONE"';
  return [
    `printf '%s\\n' ${lines} > "$WORK/allowed_signers"`,
    `signed() { while read -r ONE; do ${verify} > /dev/null 2>&1 && echo "$ONE"; done; }`,
  ];
}

/** Shows whose signature the manifest has. */
export const showSignature =
  'ssh-keygen -Y verify -f "$WORK/allowed_signers" -I mastodon-backup -n mastodon-backup -s "$FROM/$MANIFEST.sig" < "$FROM/$MANIFEST"';

/** Sets MANIFEST to the manifest with the newest data of this instance below FROM, of those that count. */
export function findNewest(
  instance: string,
  { isSigned = false }: { readonly isSigned?: boolean } = {},
): readonly string[] {
  const mark = shellQuote(`"instance": ${JSON.stringify(instance)}`);
  const places = folders.map((folder) => `${folder}/*.json`).join(' ');
  const counting = isSigned ? ' | signed' : '';
  return [
    // A manifest under another name than its own is a copy of somebody's, and one of a day to come is of a clock that ran ahead.
    String.raw`NOW=$(date -u -d '5 minutes' +%FT%TZ); word() { sed -n "s/^ *\"$1\": \"\([0-9A-Za-z:.-]*\)\",*\$/\1/p" "$ONE" | head -n 1; }`,
    String.raw`dated() { while read -r ONE; do AT=$(word dataAt); test "$(word tier)/$(word id).json" = "$ONE" && { test ! "$AT" \> "$NOW" || ! echo "passed over: $ONE, dated in the future" >&2; } && echo "$AT $ONE"; done; }`,
    `MANIFEST=$(cd "$FROM" && grep -lsF ${mark} ${places} | grep -x '[a-z]*/[0-9a-fTZ-]*[.]json'${counting} | dated | sort | tail -n 1 | cut -d ' ' -f 2)`,
    'test -n "$MANIFEST"',
    'grep -E \'"(dataAt|serverVersion|clientVersion|schemaVersion)"\' "$FROM/$MANIFEST"',
  ];
}

/** Sets OBJECT to the dump that the manifest names: what somebody has put beside it is none. */
export const findObject =
  'OBJECT="$FROM/${MANIFEST%/*}/$(grep -A 1 -F \'"kind": "dump"\' "$FROM/$MANIFEST" | grep -oE "[0-9a-fTZ-]+[.]dump([.]xz|[.]zst)?([.]age)?")"';

/** Whether a file in `$1` has the SHA-256 that the manifest names for it, and for no other: what cannot be read has none. */
export const isWhole =
  'SUM=$(sha256sum < "$1") && grep -A 4 -F "\\"name\\": \\"${1##*/}\\"" "$FROM/$MANIFEST" | grep -qF "\\"sha256\\": \\"${SUM%% *}\\""';

/** Sets OBJECT to the dump, and says whether it is whole; `whole FILE` says it of any part. */
export const checkObject: readonly string[] = [
  findObject,
  `whole() { { ${isWhole}; } && echo "whole: $1" || ! echo "DAMAGED: $1"; }`,
  'whole "$OBJECT"',
];

/** Writes Mastodon's settings to a file beside the others. */
export const openSecrets =
  'whole "$FROM/${MANIFEST%.json}.secrets.env.age" && (umask 077; age -d -i "$WORK/key.txt" "$FROM/${MANIFEST%.json}.secrets.env.age" > "$WORK/.env.production.restored")';

/** Unpacks the extra files into a directory beside the others, and names them. */
export const openExtra =
  'whole "$FROM/${MANIFEST%.json}.extra.tar.age" && mkdir "$WORK/extra" && age -d -i "$WORK/key.txt" "$FROM/${MANIFEST%.json}.extra.tar.age" | tar -xvf - -C "$WORK/extra"';

/**
 * `project` makes a directory that of Mastodon's compose file, of what has travelled and but for what is there already, and starts its
 * database and nothing else.
 */
export function defineProject({
  secretsStored,
  extraStored,
}: {
  readonly secretsStored: boolean;
  readonly extraStored: boolean;
}): readonly string[] {
  const unless = (file: string, from: string): string => `{ test -e ${file} || cp ${from} ${file}; } &&`;
  return [
    'project() {',
    ...(extraStored
      ? [
          unless('docker-compose.yml', '"$(find "$WORK/extra" -name docker-compose.yml | head -n 1)"'),
          unless('.env.backup', '"$WORK/extra/.env.backup"'),
        ]
      : []),
    ...(secretsStored ? [unless('.env.production', '"$WORK/.env.production.restored"')] : []),
    'docker compose stop web streaming sidekiq && docker compose up -d --wait db; }',
  ];
}

/** The fingerprint of the private key's public half, as the kit prints it. */
export const fingerprintCommand = 'age-keygen -y key.txt | sha256sum | cut -c 1-16';

/** What turns OBJECT into the plain archive on stdout. */
export function decodeObject({ compression, encrypted }: StockEncoding): string {
  const decompress = { xz: 'xz -d', zstd: 'zstd -d --long=27', none: null }[compression];
  const first = encrypted ? 'age -d -i "$WORK/key.txt" "$OBJECT"' : null;
  if (decompress === null) return first ?? 'cat "$OBJECT"';
  return first === null ? `${decompress} < "$OBJECT"` : `${first} | ${decompress}`;
}
