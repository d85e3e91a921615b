// The settings as the program uses them: alternatives are unions, defaults that depend on other settings are filled in,
// and contradictions between settings are found here, all of them at once.

import type { LogLevel } from '../log.ts';
import type { Environment } from './environment.ts';
import type { SettingProblem } from './problem.ts';
import { readValues } from './reader.ts';
import { isNearby, parseTimeZone } from './values.ts';
import type { Values } from './variables.ts';

/** How a bucket's provider behaves; it decides defaults, limits and whether reading back costs money. */
export type S3Profile = 'r2' | 'aws' | 'other';

/** A bucket on R2 or any S3. */
export interface S3Settings {
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Null: AWS's own for the region. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly prefix: string;
  /** Parts in flight. */
  readonly concurrency: number;
  readonly profile: S3Profile;
}

/** Compression as it was asked for; `plan/memory.ts` may lower the threads. */
export type CompressionSettings =
  | { readonly kind: 'xz'; readonly level: number }
  | { readonly kind: 'zstd'; readonly level: number }
  | { readonly kind: 'none' };

/** All settings in force. */
export interface Settings {
  readonly databaseUrl: string | null;
  readonly pgBin: string | null;
  readonly lockWaitMs: number;
  readonly s3: S3Settings | null;
  readonly localDirectory: string | null;
  readonly timeZone: string;
  readonly timeoutMs: number;
  readonly stallTimeoutMs: number;
  readonly compression: CompressionSettings;
  readonly threads: number;
  readonly memoryLimitBytes: number | null;
  readonly verify: 'auto' | 'full' | 'etag';
  /** Empty: not encrypted. */
  readonly ageRecipients: readonly string[];
  readonly ageIdentities: readonly string[];
  readonly allowPlaintext: boolean;
  readonly stateDirectory: string;
}

/** How the log is written; known even when the rest of the settings is wrong. */
export interface LogSettings {
  readonly level: LogLevel;
  readonly format: 'json' | 'pretty' | null;
}

/** The outcome of reading: `settings` is null when there are problems. */
export interface SettingsReading {
  readonly settings: Settings | null;
  readonly log: LogSettings;
  readonly problems: readonly SettingProblem[];
  readonly warnings: readonly string[];
}

/** Reads and checks all settings of this program. Never throws. */
export function readSettings(environment: Environment): SettingsReading {
  const { values, problems: found, warnings: noted } = readValues(environment);
  const problems = [...found];
  const warnings = [...noted];
  const problem = (variable: string, text: string, remedy: string): void => {
    problems.push({ variable, shown: null, problem: text, remedy });
  };
  const s3 = readS3(values, { environment, problem, warnings });
  if (
    s3 === null &&
    values.BACKUP_LOCAL_DIR === undefined &&
    !environment.isEmpty('BACKUP_LOCAL_DIR') &&
    !mentionsS3(environment)
  ) {
    problem(
      'BACKUP_S3_BUCKET',
      'there is no destination',
      'Set the BACKUP_S3_… settings of a bucket, or BACKUP_LOCAL_DIR, or both',
    );
  }
  const compression = readCompression(values, problem);
  const timeZone = readTimeZone(values, { environment, warnings });
  const recipients = values.BACKUP_AGE_RECIPIENTS ?? [];
  if (values.BACKUP_TELEGRAM_BOT_TOKEN === undefined && values.BACKUP_TELEGRAM_CHAT_ID !== undefined) {
    problem('BACKUP_TELEGRAM_BOT_TOKEN', 'missing while BACKUP_TELEGRAM_CHAT_ID is set', 'Set both or none');
  }
  if (values.BACKUP_TELEGRAM_CHAT_ID === undefined && values.BACKUP_TELEGRAM_BOT_TOKEN !== undefined) {
    problem('BACKUP_TELEGRAM_CHAT_ID', 'missing while BACKUP_TELEGRAM_BOT_TOKEN is set', 'Set both or none');
  }
  if (values.BACKUP_HTTP_TOKEN !== undefined && values.BACKUP_HTTP_PORT === undefined) {
    warnings.push('BACKUP_HTTP_TOKEN has no effect without BACKUP_HTTP_PORT');
  }
  if (values.BACKUP_VERIFY === 'etag' && s3 === null && values.BACKUP_LOCAL_DIR !== undefined) {
    warnings.push('BACKUP_VERIFY=etag has no effect on a directory, which is always read back');
  }
  const settings: Settings = {
    databaseUrl: values.BACKUP_DATABASE_URL ?? null,
    pgBin: values.BACKUP_PG_BIN ?? null,
    lockWaitMs: values.BACKUP_LOCK_WAIT ?? 0,
    s3,
    localDirectory: values.BACKUP_LOCAL_DIR ?? null,
    timeZone,
    timeoutMs: values.BACKUP_TIMEOUT ?? 0,
    stallTimeoutMs: values.BACKUP_STALL_TIMEOUT ?? 0,
    compression,
    threads: values.BACKUP_THREADS ?? 1,
    memoryLimitBytes: values.BACKUP_MEMORY_LIMIT ?? null,
    verify: values.BACKUP_VERIFY ?? 'auto',
    ageRecipients: recipients,
    ageIdentities: values.BACKUP_AGE_IDENTITY ?? [],
    allowPlaintext: values.BACKUP_ALLOW_PLAINTEXT ?? false,
    stateDirectory: values.BACKUP_STATE_DIR ?? '',
  };
  return {
    settings: problems.length === 0 ? settings : null,
    log: { level: values.BACKUP_LOG_LEVEL ?? 'info', format: values.BACKUP_LOG_FORMAT ?? null },
    problems,
    warnings,
  };
}

type Report = (variable: string, text: string, remedy: string) => void;

const s3Names = ['BACKUP_S3_BUCKET', 'BACKUP_S3_ACCESS_KEY_ID', 'BACKUP_S3_SECRET_ACCESS_KEY'] as const;
const s3Hints = [
  'BACKUP_R2_ACCOUNT_ID',
  'BACKUP_R2_JURISDICTION',
  'BACKUP_S3_ENDPOINT',
  'BACKUP_S3_REGION',
  'BACKUP_S3_CONCURRENCY',
] as const;

function mentionsS3(environment: Environment): boolean {
  return [...s3Names, ...s3Hints].some((name) => environment.get(name) !== undefined || environment.isEmpty(name));
}

function readS3(
  values: Values,
  context: { readonly environment: Environment; readonly problem: Report; readonly warnings: string[] },
): S3Settings | null {
  const { environment, problem, warnings } = context;
  if (!mentionsS3(environment)) return null;
  for (const name of s3Names) {
    if (environment.get(name) === undefined && !(name === 'BACKUP_S3_BUCKET' && environment.isEmpty(name))) {
      problem(
        name,
        'missing while other bucket settings are set',
        'Set bucket, access key id and secret access key together',
      );
    }
  }
  const accountId = values.BACKUP_R2_ACCOUNT_ID;
  const jurisdiction = values.BACKUP_R2_JURISDICTION;
  const given = values.BACKUP_S3_ENDPOINT;
  if (accountId !== undefined && given !== undefined) {
    problem(
      'BACKUP_S3_ENDPOINT',
      'set together with BACKUP_R2_ACCOUNT_ID, which builds the endpoint',
      'Keep one of them',
    );
  }
  if (jurisdiction !== undefined && accountId === undefined) {
    problem('BACKUP_R2_JURISDICTION', 'has no meaning without BACKUP_R2_ACCOUNT_ID', 'Set the account id or remove it');
  }
  const host = accountId === undefined ? given?.host : r2Host(accountId, jurisdiction);
  const endpoint = accountId === undefined ? (given?.origin ?? null) : `https://${host}`;
  const profile = profileOf(host);
  const region = values.BACKUP_S3_REGION ?? { r2: 'auto', other: 'us-east-1', aws: undefined }[profile];
  if (region === undefined || (profile === 'aws' && region === 'auto')) {
    problem(
      'BACKUP_S3_REGION',
      region === undefined ? 'missing, and AWS needs it' : "there is no region 'auto' on AWS",
      "Write the bucket's region, such as 'eu-central-1', or set BACKUP_R2_ACCOUNT_ID or BACKUP_S3_ENDPOINT if the bucket is elsewhere",
    );
  }
  if (given?.protocol === 'http:' && !isNearby(given)) {
    warnings.push('BACKUP_S3_ENDPOINT is plain http: everything but an encrypted object can be read on the way');
  }
  return {
    bucket: values.BACKUP_S3_BUCKET ?? '',
    accessKeyId: values.BACKUP_S3_ACCESS_KEY_ID ?? '',
    secretAccessKey: values.BACKUP_S3_SECRET_ACCESS_KEY ?? '',
    endpoint,
    region: region ?? '',
    prefix: values.BACKUP_S3_PREFIX ?? '',
    concurrency: values.BACKUP_S3_CONCURRENCY ?? (profile === 'r2' ? 2 : 4),
    profile,
  };
}

function r2Host(accountId: string, jurisdiction: string | undefined): string {
  return `${accountId}${jurisdiction === undefined ? '' : `.${jurisdiction}`}.r2.cloudflarestorage.com`;
}

function profileOf(host: string | undefined): S3Profile {
  if (host === undefined) return 'aws';
  if (/(^|\.)r2\.cloudflarestorage\.com$/.test(host)) return 'r2';
  return /(^|\.)amazonaws\.com(\.cn)?$/.test(host) ? 'aws' : 'other';
}

function readCompression(values: Values, problem: Report): CompressionSettings {
  const kind = values.BACKUP_COMPRESSION ?? 'xz';
  const level = values.BACKUP_COMPRESSION_LEVEL;
  switch (kind) {
    case 'xz':
      if (level !== undefined && level > 9)
        problem('BACKUP_COMPRESSION_LEVEL', `xz has no level ${level}`, 'Write 0 to 9');
      return { kind, level: level ?? 6 };
    case 'zstd':
      if (level === 0) problem('BACKUP_COMPRESSION_LEVEL', 'zstd has no level 0', 'Write 1 to 22');
      return { kind, level: level ?? 12 };
    case 'none':
      if (level !== undefined) {
        problem('BACKUP_COMPRESSION_LEVEL', 'contradicts BACKUP_COMPRESSION=none', 'Remove one of them');
      }
      return { kind };
    default:
      return kind satisfies never;
  }
}

function readTimeZone(
  values: Values,
  { environment, warnings }: { readonly environment: Environment; readonly warnings: string[] },
): string {
  const tz = environment.get('TZ')?.text;
  if (values.BACKUP_TIMEZONE !== undefined) return values.BACKUP_TIMEZONE;
  if (tz === undefined) return 'UTC';
  try {
    return parseTimeZone(tz);
  } catch {
    warnings.push(`TZ='${tz}' is not a time zone; UTC is used`);
    return 'UTC';
  }
}
