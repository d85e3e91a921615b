// THE table of settings: everything that is said about one setting stands in its row. The reader, docs/settings.md, `config`
// and the check for typing errors all come from it, so that they cannot disagree; a test holds the page against it.

import { parseAgeIdentity, parseAgeRecipients } from './age-keys.ts';
import { parseAccountId, parseBucket, parseEndpoint, parsePrefix, parseRegion } from './bucket.ts';
import { parseCronPattern } from './cron-pattern.ts';
import { parseKeepRule, type KeepRule } from './keep-rule.ts';
import { parseBotToken, parseChatId, parseEmailAddresses, parseMatrixRoom } from './messages.ts';
import { parseSigningKey, parseTrustedSigners } from './signing-keys.ts';
import {
  parseAddress,
  parseBoolean,
  parseDestinationDirectory,
  parseDirectory,
  parseDuration,
  parseFile,
  parseInteger,
  parseImage,
  parsePaths,
  parseSize,
  parseText,
  parseTimeZone,
  parseWord,
} from './values.ts';
import { rowsOf, type ForeignVariable, type Variable } from './variable.ts';
import {
  parseAppriseUrl,
  parseGotifyUrl,
  parseNtfyUrl,
  parsePingUrl,
  parseSecretUrl,
  parseServerUrl,
} from './web-address.ts';

const databaseRow = rowsOf('database');
const destinationRow = rowsOf('destination');
const planRow = rowsOf('plan');
const messagesRow = rowsOf('messages');

/** Mastodon's own, with Mastodon's own defaults (its config/database.yml). */
const mastodonDatabaseVariables = {
  DATABASE_URL: {
    preset: null,
    secret: true,
    doc: 'as in Mastodon: its parts win over `DB_*`; what it lacks (often the database name, sometimes the password) comes from `DB_*`',
  },
  DB_HOST: { preset: 'localhost', doc: 'host, or the directory of a Unix socket' },
  DB_PORT: { preset: '5432', doc: 'port' },
  DB_NAME: { preset: 'mastodon_production', doc: 'database' },
  DB_USER: { preset: 'mastodon', doc: 'role' },
  DB_PASS: { preset: null, presetNote: 'empty', secret: true, doc: 'password; an empty one is legal' },
  DB_SSLMODE: {
    preset: 'prefer',
    doc: "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`, as PostgreSQL's own `sslmode`",
  },
  PGSSLROOTCERT: {
    preset: null,
    presetNote: '`~/.postgresql/root.crt`, if it exists',
    doc: "file of the authority that signed the server's certificate; `sslrootcert` in the URL, where `system` takes those that this system trusts",
  },
  PGSSLCERT: {
    preset: null,
    presetNote: '`~/.postgresql/postgresql.crt`, if it exists',
    doc: 'file of a client certificate; `sslcert` in the URL',
  },
  PGSSLKEY: {
    preset: null,
    presetNote: '`~/.postgresql/postgresql.key`, if it exists',
    doc: 'file of its key, without a passphrase, which nobody else may read; `sslkey` in the URL',
  },
} as const satisfies Record<string, ForeignVariable>;

const databaseVariables = {
  BACKUP_DATABASE_URL: databaseRow({
    parse: parseText,
    preset: null,
    secret: true,
    doc: 'replaces all of the above: a direct connection where Mastodon itself goes through PgBouncer, or a replica; `postgresql://user:password@host:5432/database`',
  }),
  BACKUP_PG_BIN: databaseRow({
    parse: parseDirectory,
    preset: null,
    presetNote: 'found',
    doc: "directory of `pg_dump` and friends; by default the installed client of the server's major version, else the next newer one",
  }),
  BACKUP_LOCK_WAIT: databaseRow({
    parse: parseDuration('timer'),
    preset: '5m',
    doc: "how long the dump may wait for others' table locks",
  }),
  BACKUP_YIELD_AFTER: databaseRow({
    parse: parseDuration('timer'),
    preset: '30s',
    doc: 'how long others may wait for ours before the dump gives way',
  }),
} as const;

const destinationVariables = {
  BACKUP_S3_BUCKET: destinationRow({
    parse: parseBucket,
    preset: null,
    emptyIsError: true,
    doc: "a bucket for backups alone; Mastodon's media bucket is refused, because it is public",
  }),
  BACKUP_S3_ACCESS_KEY_ID: destinationRow({
    parse: parseText,
    preset: null,
    doc: 'access key that may read, write, list and delete objects in that bucket',
  }),
  BACKUP_S3_SECRET_ACCESS_KEY: destinationRow({
    parse: parseText,
    preset: null,
    secret: true,
    doc: 'its secret; better as a file, in `BACKUP_S3_SECRET_ACCESS_KEY_FILE`',
  }),
  BACKUP_R2_ACCOUNT_ID: destinationRow({
    parse: parseAccountId,
    preset: null,
    doc: 'Cloudflare account id; builds the R2 endpoint',
  }),
  BACKUP_R2_JURISDICTION: destinationRow({
    parse: parseWord('eu', 'fedramp'),
    preset: null,
    presetNote: 'empty',
    doc: "the bucket's jurisdiction on R2: `eu`, `fedramp` or empty",
  }),
  BACKUP_S3_ENDPOINT: destinationRow({
    parse: parseEndpoint,
    preset: null,
    presetNote: 'AWS',
    doc: 'endpoint of any other S3, such as `https://s3.example.com`; path style is used whenever an endpoint is set',
  }),
  BACKUP_S3_REGION: destinationRow({
    parse: parseRegion,
    preset: null,
    presetNote: '`auto` on R2, `us-east-1` with another endpoint',
    doc: 'region; required on AWS',
  }),
  BACKUP_S3_PREFIX: destinationRow({
    parse: parsePrefix,
    preset: null,
    presetNote: 'empty',
    doc: 'a folder in the bucket, for several instances in one',
  }),
  BACKUP_S3_CONCURRENCY: destinationRow({
    parse: parseInteger(1, 64),
    preset: null,
    presetNote: '`2` on R2, `4` elsewhere',
    doc: 'parts in flight',
  }),
  BACKUP_S3_OBJECT_LOCK_DAYS: destinationRow({
    parse: parseInteger(1, 366),
    preset: null,
    presetNote: 'none',
    doc: 'days for which nobody, not even we, can delete what is stored, in a bucket with Object Lock; [how](object-lock.md)',
  }),
  BACKUP_LOCAL_DIR: destinationRow({
    parse: parseDestinationDirectory,
    preset: null,
    emptyIsError: true,
    doc: 'a mounted disk or NAS; alone or as second copy',
  }),
} as const;

function schedule(preset: string, doc: string): Variable<string | null> {
  return planRow({ parse: parseCronPattern, preset, doc });
}

function keep(preset: string, doc: string): Variable<KeepRule> {
  return planRow({ parse: parseKeepRule, preset, doc });
}

function hook(doc: string): Variable<string> {
  return planRow({ parse: parseFile, preset: null, optional: true, doc });
}

const planVariables = {
  BACKUP_SCHEDULE_HOURLY: schedule('off', 'five-field cron pattern or `off`'),
  BACKUP_SCHEDULE_DAILY: schedule('0 12 * * *', 'the same for daily backups'),
  BACKUP_SCHEDULE_WEEKLY: schedule('0 13 * * 0', 'the same for weekly backups'),
  BACKUP_SCHEDULE_MONTHLY: schedule('0 14 1 * *', 'the same for monthly backups'),
  BACKUP_SCHEDULE_YEARLY: schedule('off', 'the same for yearly backups'),
  BACKUP_SCHEDULE_DRILL: schedule('0 15 * * 0', 'the same for the restore drill'),
  BACKUP_TIMEZONE: planRow({
    parse: parseTimeZone,
    preset: null,
    presetNote: '`TZ`, else `UTC`',
    doc: 'time zone of the schedules and of times shown to people; a bad `TZ` warns, a bad `BACKUP_TIMEZONE` is an error',
  }),
  BACKUP_KEEP_HOURLY: keep('24', 'how long hourly backups stay: an age (`d w mo y`), a number of periods, or `all`'),
  BACKUP_KEEP_DAILY: keep('7d', 'the same for daily ones'),
  BACKUP_KEEP_WEEKLY: keep('6w', 'the same for weekly ones'),
  BACKUP_KEEP_MONTHLY: keep('6mo', 'the same for monthly ones'),
  BACKUP_KEEP_YEARLY: keep('all', 'the same for yearly ones'),
  BACKUP_KEEP_LABELLED: keep('all', 'the same for labelled ones'),
  BACKUP_RETENTION: planRow({
    parse: parseWord('prune', 'lifecycle', 'off'),
    preset: 'prune',
    doc: '`prune`: this tool deletes what is older; `lifecycle`: bucket rules do; `off`',
  }),
  BACKUP_REUSE_WITHIN: planRow({
    parse: parseDuration('age'),
    preset: '3h',
    doc: 'a scheduled coarser tier is a copy of a verified finer snapshot this young, instead of a new dump; `0s` switches it off',
  }),
  BACKUP_TIMEOUT: planRow({
    parse: parseDuration('run'),
    preset: '12h',
    doc: 'how long a whole run may take, at most `47h`',
  }),
  BACKUP_DRILL_TIMEOUT: planRow({
    parse: parseDuration('timer'),
    preset: '12h',
    doc: 'how long a whole drill may take; it has a lock of its own and keeps no backup waiting',
  }),
  BACKUP_STALL_TIMEOUT: planRow({
    parse: parseDuration('timer'),
    preset: '10m',
    doc: 'how long a dump or base backup, one destination of it or of a copy, or pg_restore may stand still',
  }),
  BACKUP_COMPRESSION: planRow({
    parse: parseWord('xz', 'zstd', 'none'),
    preset: 'xz',
    doc: '`xz`, `zstd` or `none`',
  }),
  BACKUP_COMPRESSION_LEVEL: planRow({
    parse: parseInteger(0, 22, 'Write 0 to 9 for xz, 1 to 22 for zstd'),
    preset: null,
    presetNote: '`6` (zstd: `12`)',
    doc: '0 to 9 for xz (7 to 9 are the same), 1 to 22 for zstd',
  }),
  BACKUP_THREADS: planRow({
    parse: parseInteger(1, 1024),
    preset: '4',
    doc: 'compression threads, at most the cores (zstd below 10 and above 15 has one); lowered by itself when the memory limit asks for it, and said so',
  }),
  BACKUP_NICE: planRow({
    parse: parseInteger(0, 19),
    preset: '10',
    doc: 'how far `pg_dump`, compression and throw-away servers stand back for others at processor and disk, as `nice -n` has it; `0`: not at all. [What it does, and what it cannot](how-a-run-works.md#beside-mastodon)',
  }),
  BACKUP_MEMORY_LIMIT: planRow({
    parse: parseSize,
    preset: null,
    presetNote: "half of the container's limit, or of available memory",
    doc: 'a plan that cannot fit is refused before the dump; a size such as `512MiB`',
  }),
  BACKUP_VERIFY: planRow({
    parse: parseWord('auto', 'full', 'etag'),
    preset: 'auto',
    doc: '`full`: read the stored object back, hash it, decode it to the end; `etag`: compare size and, where it can be recomputed, the ETag; `auto`: `etag` on amazonaws.com (egress costs), `full` elsewhere; a directory is always read back',
  }),
  BACKUP_AGE_RECIPIENTS: planRow({
    parse: parseAgeRecipients,
    preset: null,
    emptyIsError: true,
    multiline: true,
    doc: 'age public keys (`age1…`), separated by commas or white space; when set, everything but the manifest is encrypted',
  }),
  BACKUP_ALLOW_PLAINTEXT: planRow({
    parse: parseBoolean,
    preset: 'false',
    doc: 'allows a run without recipients after encrypted ones, and takes a snapshot in the clear for a backup where there are recipients; both are refused otherwise',
  }),
  BACKUP_AGE_IDENTITY: planRow({
    parse: parseAgeIdentity,
    preset: null,
    secret: true,
    multiline: true,
    doc: 'optional private key (`AGE-SECRET-KEY-…`) for `verify` and drills on this machine; a run never needs it',
  }),
  BACKUP_SIGNING_KEY: planRow({
    parse: parseSigningKey,
    preset: null,
    emptyIsError: true,
    secret: true,
    multiline: true,
    doc: 'Ed25519 key made by `keygen`, better as a file, in `BACKUP_SIGNING_KEY_FILE`: manifests and drill records are signed, and what is unsigned or signed by others counts for nothing',
  }),
  BACKUP_TRUSTED_SIGNERS: planRow({
    parse: parseTrustedSigners,
    preset: null,
    emptyIsError: true,
    multiline: true,
    doc: 'public keys (`ssh-ed25519 AAAA… name`, a line each or separated by commas) of former keys and other machines, whose backups count too; enough for reading on a new server',
  }),
  BACKUP_SECRETS: planRow({
    parse: parseWord('auto', 'off'),
    preset: 'auto',
    doc: "`auto`: with recipients, Mastodon's own settings are stored encrypted beside each backup, without recipients they are not; `off`",
  }),
  BACKUP_PITR: planRow({
    parse: parseWord('on', 'off'),
    preset: 'off',
    doc: '`on`: the write-ahead log is followed and stored, with a base backup a week, so that every moment of the last days can be had back; see [Point-in-time recovery](point-in-time-recovery.md)',
  }),
  BACKUP_PITR_UPLOAD_EVERY: planRow({
    parse: parseDuration('timer'),
    preset: '10s',
    doc: 'how often what is new of the log is stored: how much may be lost at most',
  }),
  BACKUP_PITR_KEEP: planRow({
    parse: parseDuration('age'),
    preset: '7d',
    doc: 'how far back every moment can be had; base backups and log go together, when nothing that is kept needs them',
  }),
  BACKUP_PITR_SLOT_LIMIT: planRow({
    parse: parseSize,
    preset: '2GiB',
    doc: 'how much of its log the server keeps for us at most while we are away; written as `max_slot_wal_keep_size` by `ALTER SYSTEM`, unless somebody else has set that',
  }),
  BACKUP_SCHEDULE_BASE: schedule('30 4 * * 1', 'the same for base backups, with `BACKUP_PITR=on`'),
  BACKUP_EXTRA_FILES: planRow({
    parse: parsePaths,
    preset: null,
    multiline: true,
    doc: 'with recipients: files stored encrypted beside each backup (`docker-compose.yml`, the settings of nginx), 1 MiB each; paths in this container, separated by commas; a directory stands for all files in it',
  }),
  BACKUP_MASTODON_IMAGE: planRow({
    parse: parseImage,
    preset: null,
    doc: "the image that Mastodon runs from (`ghcr.io/mastodon/mastodon:v4.5.0`), kept in each manifest and named by the recovery kit: no variable of Mastodon's tells a container beside it",
  }),
  BACKUP_HOOK_BEFORE: hook(
    'a program that runs before each backup, with the event as JSON on its standard input; when it fails there is no backup',
  ),
  BACKUP_HOOK_AFTER: hook('the same after each backup that was made'),
  BACKUP_HOOK_FAILED: hook('the same after each run of which no backup came'),
  BACKUP_STATE_DIR: planRow({
    parse: parseDirectory,
    preset: '/var/lib/mastodon-backup',
    doc: "a cache, the daemon's heartbeat and the lock",
  }),
  BACKUP_SCRATCH_DIR: planRow({
    parse: parseDirectory,
    preset: '/var/tmp/mastodon-backup',
    doc: 'space for drills and parallel restores',
  }),
} as const;

function channel(doc: string, parse: (text: string) => string = parseSecretUrl): Variable<string> {
  return messagesRow({ parse, preset: null, secret: true, optional: true, doc });
}

const messageVariables = {
  BACKUP_NOTIFY: messagesRow({
    parse: parseWord('always', 'failure', 'off'),
    preset: 'always',
    doc: '`always`, `failure` or `off`',
  }),
  BACKUP_TELEGRAM_BOT_TOKEN: messagesRow({
    parse: parseBotToken,
    preset: null,
    secret: true,
    optional: true,
    doc: 'token of a Telegram bot, together with the next',
  }),
  BACKUP_TELEGRAM_CHAT_ID: messagesRow({
    parse: parseChatId,
    preset: null,
    optional: true,
    doc: 'the chat it writes to: a number, or `@channel`',
  }),
  BACKUP_TELEGRAM_THREAD_ID: messagesRow({
    parse: parseInteger(1, 999_999_999),
    preset: null,
    optional: true,
    doc: 'a topic in it: the number in the link of one of its messages',
  }),
  BACKUP_EMAIL_TO: messagesRow({
    parse: parseEmailAddresses,
    preset: null,
    optional: true,
    doc: "addresses, separated by commas; sent through Mastodon's own `SMTP_*` settings",
  }),
  BACKUP_WEBHOOK_URL: channel('receives each event as JSON'),
  BACKUP_NTFY_URL: channel('an ntfy topic', parseNtfyUrl),
  BACKUP_DISCORD_WEBHOOK_URL: channel('a Discord webhook'),
  BACKUP_SLACK_WEBHOOK_URL: channel('a Slack webhook'),
  BACKUP_APPRISE_URL: channel(
    'an Apprise API, which passes on to a hundred services: `http://apprise:8000/notify/KEY`',
    parseAppriseUrl,
  ),
  BACKUP_GOTIFY_URL: channel(
    'a Gotify server with the token of an application: `https://gotify.example.com/?token=…`',
    parseGotifyUrl,
  ),
  BACKUP_MATRIX_HOMESERVER: messagesRow({
    parse: parseServerUrl,
    preset: null,
    optional: true,
    doc: 'a Matrix homeserver, such as `https://matrix.example.org`, together with the next two',
  }),
  BACKUP_MATRIX_ROOM: messagesRow({
    parse: parseMatrixRoom,
    preset: null,
    optional: true,
    doc: 'the room: `!id:example.org`, or `#room:example.org`; the user of the token must be in it, and it must not be encrypted',
  }),
  BACKUP_MATRIX_TOKEN: messagesRow({
    parse: parseText,
    preset: null,
    secret: true,
    optional: true,
    doc: 'access token of the user that writes',
  }),
  BACKUP_PING_URL: channel(
    "dead man's switch: `/start`, success and `/fail` as healthchecks.io has it, or an Uptime Kuma push URL",
    parsePingUrl,
  ),
  BACKUP_HEALTH_GRACE: messagesRow({
    parse: parseDuration('age'),
    preset: '2h',
    doc: 'how late a backup may be before health says so',
  }),
  BACKUP_HTTP_PORT: messagesRow({
    parse: parseInteger(1, 65_535),
    preset: null,
    presetNote: 'off',
    doc: 'serves the status page at `/`, `/status.json`, `/drills/<id>`, `/healthz` and `/metrics`',
  }),
  BACKUP_HTTP_LISTEN: messagesRow({
    parse: parseAddress,
    preset: null,
    presetNote: 'all',
    doc: 'the address these are served at, such as `127.0.0.1` where other users or networks reach the machine',
  }),
  BACKUP_HTTP_TOKEN: messagesRow({
    parse: parseText,
    preset: null,
    secret: true,
    doc: 'token these ask for, as bearer or as the password of basic authentication; without it they answer to addresses, private names and names of `LOCAL_DOMAIN` alone',
  }),
  BACKUP_LOG_LEVEL: messagesRow({
    parse: parseWord('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    preset: 'info',
    doc: '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`',
  }),
  BACKUP_LOG_FORMAT: messagesRow({
    parse: parseWord('json', 'pretty'),
    preset: null,
    presetNote: '`pretty` on a terminal, else `json`',
    doc: '`json` or `pretty`',
  }),
} as const;

const table = { ...databaseVariables, ...destinationVariables, ...planVariables, ...messageVariables } as const;

/** The name of a setting of this program. */
export type VariableName = keyof typeof table;

/** The name of one of Mastodon's database variables. */
export type MastodonVariableName = keyof typeof mastodonDatabaseVariables;

/** The parsed values: undefined where nothing valid is set and there is no default. */
export type Values = {
  readonly [Name in VariableName]: ReturnType<(typeof table)[Name]['parse']> | undefined;
};

/** All settings by name, in the order of docs/settings.md. */
export const variables: Readonly<Record<VariableName, Variable>> = table;

/** Names of all settings, in the order of docs/settings.md. */
export const variableNames = Object.keys(table) as readonly VariableName[];

/** Whether what is wrong with this variable, or with its file, stops no run. */
export function isOptional(name: string): boolean {
  const variable = variableNames.find((one) => one === name || `${one}_FILE` === name);
  return variable !== undefined && variables[variable].optional === true;
}

/** Mastodon's database variables by name. */
export const mastodonVariables: Readonly<Record<MastodonVariableName, ForeignVariable>> = mastodonDatabaseVariables;

/** Names of Mastodon's database variables. */
export const mastodonVariableNames = Object.keys(mastodonDatabaseVariables) as readonly MastodonVariableName[];

/** Every variable that may also come from a file, as `NAME_FILE`. */
export const fileCapableNames: readonly string[] = [...mastodonVariableNames, ...variableNames];
