// The settings that say when a backup is taken, how it is made and how long it stays.

import { parseAgeIdentity, parseAgeRecipients } from './age-keys.ts';
import { parseCronPattern } from './cron-pattern.ts';
import { parseDuration } from './duration.ts';
import { parseKeepRule, type KeepRule } from './keep-rule.ts';
import { parseSize } from './size.ts';
import { parseTimeZone } from './time-zone.ts';
import { parseBoolean, parseDirectory, parseInteger, parseWord } from './values.ts';
import { rowsOf, type Variable } from './variable.ts';

const row = rowsOf('plan');

function schedule(preset: string, doc: string): Variable<string | null> {
  return row({ parse: parseCronPattern, preset, doc });
}

function keep(preset: string, doc: string): Variable<KeepRule> {
  return row({ parse: parseKeepRule, preset, doc });
}

/** The settings of the section by name. */
export const planVariables = {
  BACKUP_SCHEDULE_HOURLY: schedule('off', 'five-field cron pattern or `off`'),
  BACKUP_SCHEDULE_DAILY: schedule('0 12 * * *', 'the same for daily backups'),
  BACKUP_SCHEDULE_WEEKLY: schedule('0 13 * * 0', 'the same for weekly backups'),
  BACKUP_SCHEDULE_MONTHLY: schedule('0 14 1 * *', 'the same for monthly backups'),
  BACKUP_SCHEDULE_YEARLY: schedule('off', 'the same for yearly backups'),
  BACKUP_SCHEDULE_DRILL: schedule('0 15 * * 0', 'the same for the restore drill'),
  BACKUP_TIMEZONE: row({
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
  BACKUP_RETENTION: row({
    parse: parseWord('prune', 'lifecycle', 'off'),
    preset: 'prune',
    doc: '`prune`: this tool deletes what is older; `lifecycle`: bucket rules do; `off`',
  }),
  BACKUP_REUSE_WITHIN: row({
    parse: parseDuration('age'),
    preset: '3h',
    doc: 'a scheduled coarser tier is a copy of a verified finer snapshot this young, instead of a new dump; `0s` switches it off',
  }),
  BACKUP_TIMEOUT: row({
    parse: parseDuration('timer'),
    preset: '12h',
    doc: 'how long a whole run may take',
  }),
  BACKUP_STALL_TIMEOUT: row({
    parse: parseDuration('timer'),
    preset: '10m',
    doc: 'how long the dump, or one destination, may stand still without a byte moving',
  }),
  BACKUP_COMPRESSION: row({
    parse: parseWord('xz', 'zstd', 'none'),
    preset: 'xz',
    doc: '`xz`, `zstd` or `none`',
  }),
  BACKUP_COMPRESSION_LEVEL: row({
    parse: parseInteger(0, 22),
    preset: null,
    presetNote: '`6` (zstd: `12`)',
    doc: '0 to 9 for xz, 1 to 22 for zstd',
  }),
  BACKUP_THREADS: row({
    parse: parseInteger(1, 1024),
    preset: '4',
    doc: 'compression threads, at most the cores; lowered by itself when the memory limit asks for it, and said so',
  }),
  BACKUP_MEMORY_LIMIT: row({
    parse: parseSize,
    preset: null,
    presetNote: "half of the container's limit, or of available memory",
    doc: 'a plan that cannot fit is refused before the dump; a size such as `512MiB`',
  }),
  BACKUP_VERIFY: row({
    parse: parseWord('auto', 'full', 'etag'),
    preset: 'auto',
    doc: '`full`: read the stored object back, hash it, decode it to the end; `etag`: compare size and, where it can be recomputed, the ETag; `auto`: `etag` on amazonaws.com (egress costs), `full` elsewhere; a directory is always read back',
  }),
  BACKUP_AGE_RECIPIENTS: row({
    parse: parseAgeRecipients,
    preset: null,
    emptyIsError: true,
    multiline: true,
    doc: 'age public keys (`age1…`), separated by commas or white space; when set, everything but the manifest is encrypted',
  }),
  BACKUP_ALLOW_PLAINTEXT: row({
    parse: parseBoolean,
    preset: 'false',
    doc: 'allows a run without recipients after encrypted ones, which is refused otherwise',
  }),
  BACKUP_AGE_IDENTITY: row({
    parse: parseAgeIdentity,
    preset: null,
    secret: true,
    multiline: true,
    doc: 'optional private key (`AGE-SECRET-KEY-…`) for `verify` and drills on this machine; a run never needs it',
  }),
  BACKUP_SECRETS: row({
    parse: parseWord('auto', 'off'),
    preset: 'auto',
    doc: "`auto`: with recipients, Mastodon's own settings are stored encrypted beside each backup, without recipients they are not; `off`",
  }),
  BACKUP_STATE_DIR: row({
    parse: parseDirectory,
    preset: '/var/lib/mastodon-backup',
    doc: "a cache, the daemon's heartbeat and the lock",
  }),
  BACKUP_SCRATCH_DIR: row({
    parse: parseDirectory,
    preset: '/var/tmp/mastodon-backup',
    doc: 'space for drills and parallel restores',
  }),
} as const;
