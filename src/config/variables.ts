// THE table of settings: name, parser, default, secrecy and one line of documentation. The README's table, `config`, the
// typo check and the warning about what is not available yet all come from it; a test holds the README against it.

import { parseCronPattern } from './cron-pattern.ts';
import * as values from './values.ts';

/** The parts the README's tables are divided into. */
export type Section = 'database' | 'destination' | 'plan' | 'messages';

/** One setting. */
export interface Variable<Value = unknown> {
  readonly section: Section;
  /** How its text becomes a value; throws `ValueError`. */
  readonly parse: (text: string) => Value;
  /** The default as one would write it; null when there is none or it depends on others. */
  readonly preset: string | null;
  /** The default for people, where `preset` does not say it. */
  readonly presetNote?: string;
  readonly secret?: true;
  /** Set but empty is an error: a mistyped `${NAME}` must not switch it off. */
  readonly emptyIsError?: true;
  /** Parsed already, without effect in this version. */
  readonly later?: true;
  readonly doc: string;
}

function define<Value>(variable: Variable<Value>): Variable<Value> {
  return variable;
}

function schedule(preset: string, doc: string): Variable<string | null> {
  return { section: 'plan', parse: parseCronPattern, preset, later: true, doc };
}

function keep(preset: string, doc: string): Variable<values.KeepRule> {
  return { section: 'plan', parse: values.parseKeepRule, preset, later: true, doc };
}

function channel(doc: string): Variable<string> {
  const parse = (text: string): string => values.parseWebUrl(text).href;
  return { section: 'messages', parse, preset: null, secret: true, later: true, doc };
}

/** All settings of this program by name; Mastodon's own database variables are read by `mastodon/`. */
export const variables = {
  BACKUP_DATABASE_URL: define({
    section: 'database',
    parse: values.parseText,
    preset: null,
    secret: true,
    doc: 'replaces all of the above: a direct connection where Mastodon itself goes through PgBouncer, or a replica',
  }),
  BACKUP_PG_BIN: define({
    section: 'database',
    parse: values.parseDirectory,
    preset: null,
    presetNote: 'found',
    doc: "directory of `pg_dump` and friends; by default the installed client of the server's major version, else the next newer one",
  }),
  BACKUP_LOCK_WAIT: define({
    section: 'database',
    parse: values.parsePositiveDuration,
    preset: '5m',
    doc: "how long the dump may wait for others' table locks",
  }),
  BACKUP_YIELD_AFTER: define({
    section: 'database',
    parse: values.parseDuration,
    preset: '30s',
    later: true,
    doc: 'how long others may wait for ours before the dump gives way',
  }),

  BACKUP_S3_BUCKET: define({
    section: 'destination',
    parse: values.parseBucket,
    preset: null,
    emptyIsError: true,
    doc: "the bucket; never Mastodon's media bucket, which is public",
  }),
  BACKUP_S3_ACCESS_KEY_ID: define({
    section: 'destination',
    parse: values.parseText,
    preset: null,
    doc: 'access key of a token that may read, write and delete objects in that bucket alone',
  }),
  BACKUP_S3_SECRET_ACCESS_KEY: define({
    section: 'destination',
    parse: values.parseText,
    preset: null,
    secret: true,
    doc: 'its secret',
  }),
  BACKUP_R2_ACCOUNT_ID: define({
    section: 'destination',
    parse: values.parseAccountId,
    preset: null,
    doc: 'Cloudflare account id; builds the R2 endpoint',
  }),
  BACKUP_R2_JURISDICTION: define({
    section: 'destination',
    parse: values.parseWord('eu', 'fedramp'),
    preset: null,
    doc: "`eu`, `fedramp` or empty: the bucket's jurisdiction on R2",
  }),
  BACKUP_S3_ENDPOINT: define({
    section: 'destination',
    parse: values.parseEndpoint,
    preset: null,
    presetNote: 'AWS',
    doc: 'endpoint of any other S3; path style is used whenever it is set',
  }),
  BACKUP_S3_REGION: define({
    section: 'destination',
    parse: values.parseText,
    preset: null,
    presetNote: '`auto` on R2, `us-east-1` with another endpoint',
    doc: 'region; required on AWS',
  }),
  BACKUP_S3_PREFIX: define({
    section: 'destination',
    parse: values.parsePrefix,
    preset: null,
    presetNote: 'empty',
    doc: 'a folder in the bucket, for several instances in one',
  }),
  BACKUP_S3_CONCURRENCY: define({
    section: 'destination',
    parse: values.parseInteger(1, 16),
    preset: null,
    presetNote: '`2` on R2, `4` elsewhere',
    doc: 'parts in flight',
  }),
  BACKUP_LOCAL_DIR: define({
    section: 'destination',
    parse: values.parseDirectory,
    preset: null,
    emptyIsError: true,
    doc: 'a mounted disk or NAS; alone or as second copy',
  }),

  BACKUP_SCHEDULE_HOURLY: schedule('off', 'five-field cron pattern or `off`'),
  BACKUP_SCHEDULE_DAILY: schedule('0 12 * * *', 'five-field cron pattern or `off`'),
  BACKUP_SCHEDULE_WEEKLY: schedule('0 13 * * 0', 'five-field cron pattern or `off`'),
  BACKUP_SCHEDULE_MONTHLY: schedule('0 14 1 * *', 'five-field cron pattern or `off`'),
  BACKUP_SCHEDULE_YEARLY: schedule('off', 'five-field cron pattern or `off`'),
  BACKUP_SCHEDULE_DRILL: schedule('0 15 * * 0', 'when the restore drill runs'),
  BACKUP_TIMEZONE: define({
    section: 'plan',
    parse: values.parseTimeZone,
    preset: null,
    presetNote: '`TZ`, else `UTC`',
    doc: 'time zone of the schedules; a bad `TZ` warns, a bad `BACKUP_TIMEZONE` is an error',
  }),
  BACKUP_KEEP_HOURLY: keep('24', 'how long hourly backups stay: an age (`d w mo y`), a number of periods, or `all`'),
  BACKUP_KEEP_DAILY: keep('7d', 'the same for daily ones'),
  BACKUP_KEEP_WEEKLY: keep('6w', 'the same for weekly ones'),
  BACKUP_KEEP_MONTHLY: keep('6mo', 'the same for monthly ones'),
  BACKUP_KEEP_YEARLY: keep('all', 'the same for yearly ones'),
  BACKUP_KEEP_LABELLED: keep('all', 'the same for labelled ones'),
  BACKUP_RETENTION: define({
    section: 'plan',
    parse: values.parseWord('prune', 'lifecycle', 'off'),
    preset: 'prune',
    later: true,
    doc: '`prune`: this tool deletes; `lifecycle`: bucket rules do; `off`',
  }),
  BACKUP_REUSE_WITHIN: define({
    section: 'plan',
    parse: values.parseDuration,
    preset: '3h',
    later: true,
    doc: 'a scheduled coarser tier is a copy of a verified finer snapshot this young, instead of a new dump; `0s` switches it off',
  }),
  BACKUP_TIMEOUT: define({
    section: 'plan',
    parse: values.parsePositiveDuration,
    preset: '12h',
    doc: 'how long a whole run may take',
  }),
  BACKUP_STALL_TIMEOUT: define({
    section: 'plan',
    parse: values.parsePositiveDuration,
    preset: '10m',
    doc: 'how long the dump, or one destination, may stand still without a byte moving',
  }),
  BACKUP_COMPRESSION: define({
    section: 'plan',
    parse: values.parseWord('xz', 'zstd', 'none'),
    preset: 'xz',
    doc: '`xz`, `zstd` or `none`',
  }),
  BACKUP_COMPRESSION_LEVEL: define({
    section: 'plan',
    parse: values.parseInteger(0, 22),
    preset: null,
    presetNote: '`6` (zstd: `12`)',
    doc: '0 to 9 for xz, 1 to 22 for zstd',
  }),
  BACKUP_THREADS: define({
    section: 'plan',
    parse: values.parseInteger(1, 256),
    preset: '4',
    doc: 'compression threads, at most the cores; lowered by itself when the memory limit asks for it, and said so',
  }),
  BACKUP_MEMORY_LIMIT: define({
    section: 'plan',
    parse: values.parseSize,
    preset: null,
    presetNote: "half of the container's limit, or of available memory",
    doc: 'a plan that cannot fit is refused before the dump',
  }),
  BACKUP_VERIFY: define({
    section: 'plan',
    parse: values.parseWord('auto', 'full', 'etag'),
    preset: 'auto',
    doc: '`full`: read the stored object back, hash it, decode it to the end; `etag`: compare size and ETag alone; `auto`: `etag` on amazonaws.com (egress costs), `full` elsewhere; a directory is always read back',
  }),
  BACKUP_AGE_RECIPIENTS: define({
    section: 'plan',
    parse: values.parseAgeRecipients,
    preset: null,
    emptyIsError: true,
    doc: 'age public keys; when set, everything but the manifest is encrypted',
  }),
  BACKUP_ALLOW_PLAINTEXT: define({
    section: 'plan',
    parse: values.parseBoolean,
    preset: 'false',
    doc: 'allows a run without recipients after encrypted ones, which is refused otherwise',
  }),
  BACKUP_AGE_IDENTITY: define({
    section: 'plan',
    parse: values.parseAgeIdentity,
    preset: null,
    secret: true,
    doc: 'optional private key for `verify` (and drills, later) on this machine; runs never need it',
  }),
  BACKUP_SECRETS: define({
    section: 'plan',
    parse: values.parseWord('auto', 'off'),
    preset: 'auto',
    later: true,
    doc: "`auto`: with recipients, Mastodon's secrets are stored encrypted beside each backup; `off`",
  }),
  BACKUP_STATE_DIR: define({
    section: 'plan',
    parse: values.parseDirectory,
    preset: '/var/lib/mastodon-backup',
    doc: 'holds the lock, and later a cache',
  }),
  BACKUP_SCRATCH_DIR: define({
    section: 'plan',
    parse: values.parseDirectory,
    preset: '/var/tmp/mastodon-backup',
    later: true,
    doc: 'space for drills and parallel restores',
  }),

  BACKUP_NOTIFY: define({
    section: 'messages',
    parse: values.parseWord('always', 'failure', 'off'),
    preset: 'always',
    later: true,
    doc: '`always`, `failure` or `off`',
  }),
  BACKUP_TELEGRAM_BOT_TOKEN: define({
    section: 'messages',
    parse: values.parseText,
    preset: null,
    secret: true,
    later: true,
    doc: 'Telegram bot',
  }),
  BACKUP_TELEGRAM_CHAT_ID: define({
    section: 'messages',
    parse: values.parseText,
    preset: null,
    later: true,
    doc: 'the chat it writes to',
  }),
  BACKUP_EMAIL_TO: define({
    section: 'messages',
    parse: values.parseText,
    preset: null,
    later: true,
    doc: "sent through Mastodon's own `SMTP_*` settings",
  }),
  BACKUP_WEBHOOK_URL: channel('receives a JSON event'),
  BACKUP_NTFY_URL: channel('ntfy topic'),
  BACKUP_DISCORD_WEBHOOK_URL: channel('Discord webhook'),
  BACKUP_SLACK_WEBHOOK_URL: channel('Slack webhook'),
  BACKUP_PING_URL: channel("dead man's switch: healthchecks.io or an Uptime Kuma push URL"),
  BACKUP_HEALTH_GRACE: define({
    section: 'messages',
    parse: values.parseDuration,
    preset: '2h',
    later: true,
    doc: 'how late a backup may be before health says so',
  }),
  BACKUP_HTTP_PORT: define({
    section: 'messages',
    parse: values.parseInteger(1, 65535),
    preset: null,
    presetNote: 'off',
    later: true,
    doc: 'serves `/healthz`, `/metrics` and the status page',
  }),
  BACKUP_HTTP_TOKEN: define({
    section: 'messages',
    parse: values.parseText,
    preset: null,
    secret: true,
    later: true,
    doc: 'bearer token these ask for',
  }),
  BACKUP_LOG_LEVEL: define({
    section: 'messages',
    parse: values.parseWord('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    preset: 'info',
    doc: 'how much is logged',
  }),
  BACKUP_LOG_FORMAT: define({
    section: 'messages',
    parse: values.parseWord('json', 'pretty'),
    preset: null,
    presetNote: '`json`, `pretty` on a terminal',
    doc: '`json` or `pretty`',
  }),
} as const satisfies Record<string, Variable>;

/** The name of a setting. */
export type VariableName = keyof typeof variables;

/** The parsed values: undefined where nothing is set and there is no default. */
export type Values = {
  readonly [Name in VariableName]: ReturnType<(typeof variables)[Name]['parse']> | undefined;
};
