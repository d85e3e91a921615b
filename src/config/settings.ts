// The settings as the program uses them: alternatives are unions, defaults that depend on other settings are filled in,
// and everything that is wrong is told together.

import { availableParallelism } from 'node:os';
import type { LogLevel } from '../log.ts';
import { plural } from '../text/table.ts';
import { toKeySettings, type KeySettings } from './age-keys.ts';
import { readS3Settings, wantsBucket, type S3Settings } from './bucket.ts';
import { findContradictions } from './contradictions.ts';
import type { Environment } from './environment.ts';
import type { KeepRule } from './keep-rule.ts';
import { toMessages, type MessageSettings } from './messages.ts';
import type { SettingProblem } from './problem.ts';
import { findProxyProblems, readProxy } from './proxy.ts';
import { readValues, type Findings } from './reader.ts';
import { toSigningSettings, type SigningSettings } from './signing-keys.ts';
import { isOptional, type Values, type VariableName } from './table.ts';
import { timeZoneOfTz } from './values.ts';

/** A place where backups go. */
export type DestinationSettings =
  ({ readonly kind: 's3' } & S3Settings) | { readonly kind: 'local'; readonly directory: string };

/** Compression as it was asked for. */
export type CompressionSettings =
  | { readonly kind: 'xz'; readonly level: number }
  | { readonly kind: 'zstd'; readonly level: number }
  | { readonly kind: 'none' };

/** How the log is written; `format` null: `pretty` on a terminal, else `json`. */
export interface LogSettings {
  readonly level: LogLevel;
  readonly format: 'json' | 'pretty' | null;
}

/** Cron patterns by tier, and for the drill; null: off. */
export type Schedules = Readonly<Record<'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly' | 'drill', string | null>>;

/** What each tier keeps. */
export type KeepRules = Readonly<Record<'hourly' | 'daily' | 'weekly' | 'monthly' | 'yearly' | 'labelled', KeepRule>>;

/** How any moment of the last days can be had back. */
export interface PitrSettings {
  /** Whether the daemon follows the log and makes base backups. */
  readonly isOn: boolean;
  readonly uploadEveryMs: number;
  readonly keepMs: number;
  readonly slotLimitBytes: number;
  /** Cron pattern of base backups; null: none but those that are needed. */
  readonly baseSchedule: string | null;
}

/** Programs that run beside a backup; null: none. */
export type HookSettings = Readonly<Record<'before' | 'after' | 'failed', string | null>>;

/** All settings in force. Which database is meant is in `mastodon/`. */
export interface Settings {
  /** Directory of the client programs; null: they are looked for. */
  readonly pgBin: string | null;
  readonly lockWaitMs: number;
  readonly yieldAfterMs: number;
  /** The bucket first, when there is one: reading commands take it. */
  readonly destinations: readonly [DestinationSettings, ...DestinationSettings[]];
  readonly schedules: Schedules;
  readonly timeZone: string;
  readonly retention: { readonly mode: 'prune' | 'lifecycle' | 'off'; readonly keep: KeepRules };
  readonly pitr: PitrSettings;
  /** 0: never. */
  readonly reuseWithinMs: number;
  readonly timeoutMs: number;
  readonly drillTimeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly compression: CompressionSettings;
  /** At most the cores; the plan may lower it. */
  readonly threads: number;
  /** How far what can wait stands back for others, 0 to 19. */
  readonly niceness: number;
  /** Null: half of what there is. */
  readonly memoryLimitBytes: number | null;
  /** How what was stored is looked at, where a store compares ETags; elsewhere it is always read back. */
  readonly verify: 'full' | 'etag';
  readonly keys: KeySettings;
  readonly signing: SigningSettings;
  readonly secrets: 'auto' | 'off';
  /** Paths of files and directories that travel with an encrypted backup. */
  readonly extraFiles: readonly string[];
  /** What Mastodon runs from; null: nobody has said. */
  readonly mastodonImage: string | null;
  readonly stateDirectory: string;
  readonly scratchDirectory: string;
  readonly hooks: HookSettings;
  readonly messages: MessageSettings;
  readonly healthGraceMs: number;
  /** `listen` null: on all addresses. */
  readonly http: { readonly listen: string | null; readonly port: number; readonly token: string | null } | null;
}

/** The outcome of reading: `settings` is null exactly when a problem stops runs; `log` is always usable. */
export interface SettingsReading {
  readonly settings: Settings | null;
  readonly log: LogSettings;
  /** For times in the log. */
  readonly timeZone: string;
  /** All of them; those of channels and hooks stop no run. */
  readonly problems: readonly SettingProblem[];
  readonly warnings: readonly string[];
  /** Those of the warnings that say a setting is not known. */
  readonly unknown: readonly string[];
}

/** Reads and checks all settings of this program, files that could not be read included. Never throws. */
export function readSettings(
  environment: Environment,
  { cores = availableParallelism() }: { readonly cores?: number } = {},
): SettingsReading {
  const findings: Findings = { problems: [], warnings: [], unknown: [] };
  const values = readValues(environment, findings);
  const context = { environment, findings };
  const s3 = readS3Settings(values, context);
  findings.problems.push(...findProxyProblems(readProxy((name) => environment.get(name)?.text)));
  if (!wantsBucket(environment) && environment.status('BACKUP_LOCAL_DIR') === 'unset') {
    findings.problems.push({
      variable: 'BACKUP_S3_BUCKET',
      shownValue: null,
      problem: 'there is no destination, neither a bucket nor BACKUP_LOCAL_DIR',
      remedy:
        'Set BACKUP_S3_BUCKET, BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY (with BACKUP_R2_ACCOUNT_ID on R2), or BACKUP_LOCAL_DIR, or both',
    });
  }
  findContradictions(values, context);
  const compression = readCompression(values, findings);
  const timeZone = values.BACKUP_TIMEZONE ?? readTz(environment, findings);
  const threads = values.BACKUP_THREADS ?? 1;
  if (threads > cores && environment.status('BACKUP_THREADS') === 'set') {
    findings.warnings.push(
      `BACKUP_THREADS=${threads} is more than the ${plural(cores, 'core')} here; ${cores} ${cores === 1 ? 'is' : 'are'} used`,
    );
  }
  const log: LogSettings = { level: values.BACKUP_LOG_LEVEL ?? 'info', format: values.BACKUP_LOG_FORMAT ?? null };
  const { problems, warnings, unknown } = findings;
  const [first, ...others] = toDestinations(s3, values.BACKUP_LOCAL_DIR);
  if (problems.some(stopsRuns) || first === undefined) {
    return { settings: null, log, timeZone, problems, warnings, unknown };
  }

  const valueOf = <Name extends VariableName>(name: Name): Exclude<Values[Name], undefined> => required(values, name);
  const port = values.BACKUP_HTTP_PORT;
  const settings: Settings = {
    pgBin: values.BACKUP_PG_BIN ?? null,
    lockWaitMs: valueOf('BACKUP_LOCK_WAIT'),
    yieldAfterMs: valueOf('BACKUP_YIELD_AFTER'),
    destinations: [first, ...others],
    schedules: {
      hourly: valueOf('BACKUP_SCHEDULE_HOURLY'),
      daily: valueOf('BACKUP_SCHEDULE_DAILY'),
      weekly: valueOf('BACKUP_SCHEDULE_WEEKLY'),
      monthly: valueOf('BACKUP_SCHEDULE_MONTHLY'),
      yearly: valueOf('BACKUP_SCHEDULE_YEARLY'),
      drill: valueOf('BACKUP_SCHEDULE_DRILL'),
    },
    timeZone,
    retention: {
      mode: valueOf('BACKUP_RETENTION'),
      keep: {
        hourly: valueOf('BACKUP_KEEP_HOURLY'),
        daily: valueOf('BACKUP_KEEP_DAILY'),
        weekly: valueOf('BACKUP_KEEP_WEEKLY'),
        monthly: valueOf('BACKUP_KEEP_MONTHLY'),
        yearly: valueOf('BACKUP_KEEP_YEARLY'),
        labelled: valueOf('BACKUP_KEEP_LABELLED'),
      },
    },
    pitr: {
      isOn: valueOf('BACKUP_PITR') === 'on',
      uploadEveryMs: valueOf('BACKUP_PITR_UPLOAD_EVERY'),
      keepMs: valueOf('BACKUP_PITR_KEEP'),
      slotLimitBytes: valueOf('BACKUP_PITR_SLOT_LIMIT'),
      baseSchedule: valueOf('BACKUP_SCHEDULE_BASE'),
    },
    reuseWithinMs: valueOf('BACKUP_REUSE_WITHIN'),
    timeoutMs: valueOf('BACKUP_TIMEOUT'),
    drillTimeoutMs: valueOf('BACKUP_DRILL_TIMEOUT'),
    stallTimeoutMs: valueOf('BACKUP_STALL_TIMEOUT'),
    compression,
    threads: Math.max(1, Math.min(threads, cores)),
    niceness: valueOf('BACKUP_NICE'),
    memoryLimitBytes: values.BACKUP_MEMORY_LIMIT ?? null,
    verify: resolveVerify(valueOf('BACKUP_VERIFY'), s3),
    keys: toKeySettings({
      recipients: values.BACKUP_AGE_RECIPIENTS ?? [],
      identities: values.BACKUP_AGE_IDENTITY ?? [],
      allowPlaintext: valueOf('BACKUP_ALLOW_PLAINTEXT'),
    }),
    signing: toSigningSettings({
      key: values.BACKUP_SIGNING_KEY,
      others: values.BACKUP_TRUSTED_SIGNERS ?? [],
    }),
    secrets: valueOf('BACKUP_SECRETS'),
    extraFiles: values.BACKUP_EXTRA_FILES ?? [],
    mastodonImage: values.BACKUP_MASTODON_IMAGE ?? null,
    stateDirectory: valueOf('BACKUP_STATE_DIR'),
    scratchDirectory: valueOf('BACKUP_SCRATCH_DIR'),
    hooks: {
      before: values.BACKUP_HOOK_BEFORE ?? null,
      after: values.BACKUP_HOOK_AFTER ?? null,
      failed: values.BACKUP_HOOK_FAILED ?? null,
    },
    messages: toMessages(values),
    healthGraceMs: valueOf('BACKUP_HEALTH_GRACE'),
    http:
      port === undefined
        ? null
        : { listen: values.BACKUP_HTTP_LISTEN ?? null, port, token: values.BACKUP_HTTP_TOKEN ?? null },
  };
  return { settings, log, timeZone, problems, warnings, unknown };
}

/** Whether there can be no run with this problem: not when it only costs a message or a hook. */
export function stopsRuns({ variable }: Pick<SettingProblem, 'variable'>): boolean {
  return !isOptional(variable);
}

function toDestinations(s3: S3Settings | null, directory: string | undefined): readonly DestinationSettings[] {
  return [
    ...(s3 === null ? [] : [{ kind: 's3' as const, ...s3 }]),
    ...(directory === undefined ? [] : [{ kind: 'local' as const, directory }]),
  ];
}

// Reading back from AWS costs egress.
function resolveVerify(wanted: 'auto' | 'full' | 'etag', s3: S3Settings | null): Settings['verify'] {
  if (wanted !== 'auto') return wanted;
  return s3?.profile === 'aws' ? 'etag' : 'full';
}

function required<Name extends VariableName>(values: Values, name: Name): Exclude<Values[Name], undefined> {
  const value = values[name];
  if (value === undefined) throw new Error(`${name} has no default`);
  return value as Exclude<Values[Name], undefined>;
}

function readCompression(values: Values, findings: Findings): CompressionSettings {
  const kind = values.BACKUP_COMPRESSION ?? 'xz';
  const level = values.BACKUP_COMPRESSION_LEVEL;
  const report = (problem: string, remedy: string): void => {
    findings.problems.push({ variable: 'BACKUP_COMPRESSION_LEVEL', shownValue: String(level), problem, remedy });
  };
  switch (kind) {
    case 'xz':
      if (level !== undefined && level > 9)
        report('xz has no such level', 'Write 0 to 9, or set BACKUP_COMPRESSION=zstd');
      return { kind, level: level ?? 6 };
    case 'zstd':
      if (level === 0) report('zstd has no such level', 'Write 1 to 22');
      return { kind, level: level ?? 12 };
    case 'none':
      if (level !== undefined) report('contradicts BACKUP_COMPRESSION=none', 'Remove one of them');
      return { kind };
    default:
      return kind satisfies never;
  }
}

function readTz(environment: Environment, findings: Findings): string {
  const tz = environment.get('TZ')?.text;
  if (tz === undefined) return 'UTC';
  const zone = timeZoneOfTz(tz);
  if (zone === undefined) findings.warnings.push(`TZ is not the name of a time zone; UTC is used, set BACKUP_TIMEZONE`);
  return zone ?? 'UTC';
}

/** The bucket among the destinations; null: there is none. */
export function bucketOf({ destinations }: Pick<Settings, 'destinations'>): S3Settings | null {
  return destinations.find((one) => one.kind === 's3') ?? null;
}

/** The directory among the destinations; null: there is none. */
export function directoryOf({ destinations }: Pick<Settings, 'destinations'>): string | null {
  return destinations.find((one) => one.kind === 'local')?.directory ?? null;
}
