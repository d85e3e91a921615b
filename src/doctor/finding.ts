// What the doctor looks at and what it finds, for all of its checks.

import type { LastEncryption } from '../backup/plaintext-guard.ts';
import type { Environment } from '../config/environment.ts';
import type { SettingProblem } from '../config/problem.ts';
import type { Settings } from '../config/settings.ts';
import type { ConnectionSettings } from '../database/connection.ts';
import type { Channel } from '../notify/channel.ts';
import { AppError, describeError } from '../errors.ts';
import type { AskedBackups, EarlierBackups } from '../snapshots/earlier-backups.ts';
import type { Repository } from '../snapshots/repository.ts';

/** What a check found. */
export interface Finding {
  readonly check: string;
  readonly status: 'ok' | 'warning' | 'problem';
  readonly detail: string;
  /** What to do; null when there is nothing to do. */
  readonly remedy: string | null;
}

/** What places that answer hold, and what is to be said of them. */
export interface Inventory {
  /** Those that can be read and are the places that are known. */
  readonly earlier: readonly AskedBackups[];
  /** Where nobody signs or is trusted now: the newest snapshot of each place in which it is signed all the same. */
  readonly signed: readonly EarlierBackups[];
  readonly findings: readonly Finding[];
}

/** What the doctor looks at. */
export interface Examination {
  readonly settings: Settings;
  readonly warnings: readonly string[];
  /** What is wrong with the settings of channels and hooks. */
  readonly channelProblems: readonly SettingProblem[];
  readonly channels: readonly Channel[];
  readonly redact: (text: string) => string;
  readonly environment: Environment;
  /** LOCAL_DOMAIN, else host/database. */
  readonly instance: string;
  readonly connection: ConnectionSettings;
  /** How the last backup that was made here was stored; null: it is not remembered. */
  readonly lastEncryption: LastEncryption;
  readonly pathVariable: string;
  /** The user id we run as. */
  readonly uid: number;
  readonly memoryLimitBytes: number;
  readonly cores: number;
  readonly stores: readonly Repository[];
  /** Looks into one. Rejects only with the reason of `signal`. */
  readonly takeInventory: (store: Repository, signal: AbortSignal) => Promise<Inventory>;
  /** Whether a drill can run here; `serverMajor` and `databaseBytes` null: the database could not be asked. */
  readonly examineDrill: (
    earlier: readonly EarlierBackups[],
    options: { readonly serverMajor: number | null; readonly databaseBytes: number | null },
  ) => Promise<readonly Finding[]>;
  readonly now: () => Date;
  readonly signal: AbortSignal;
}

/** A finding that all is well. */
export function fine(check: string, detail: string): Finding {
  return { check, status: 'ok', detail, remedy: null };
}

/** A finding for something that failed. */
export function problem(check: string, error: unknown): Finding {
  return {
    check,
    status: 'problem',
    detail: describeError(error),
    remedy: error instanceof AppError ? (error.hint ?? null) : null,
  };
}
