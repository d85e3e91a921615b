// The composition root: from the environment to an `App` whose verbs are the commands. Real things (stores, clocks, the
// log) are made below it and nowhere else; tests pass their own.

import type { BackupResult } from '../backup/backup.ts';
import { describeSettings, type ShownSetting } from '../config/shown.ts';
import type { Finding } from '../doctor/finding.ts';
import type { Log, Redact } from '../log.ts';
import { createContext, type AppInput } from './context.ts';
import { doctor } from './doctor-verb.ts';
import {
  list,
  verify,
  type ListRequest,
  type PlacedCatalogue,
  type VerifyRequest,
  type VerifyResult,
} from './reading-verbs.ts';
import { recoveryKit, type RecoveryKitRequest } from './recovery-kit-verb.ts';
import { run, type RunRequest } from './run-verb.ts';

/** The program's verbs. */
export interface App extends AsyncDisposable {
  readonly log: Log;
  readonly redact: Redact;
  run(request: RunRequest): Promise<BackupResult>;
  list(request: ListRequest): Promise<PlacedCatalogue>;
  verify(request: VerifyRequest): Promise<VerifyResult>;
  /** One page, as text or HTML. */
  recoveryKit(request: RecoveryKitRequest): Promise<string>;
  config(): readonly ShownSetting[];
  doctor(signal: AbortSignal): Promise<readonly Finding[]>;
}

/** Makes the app. Never throws for wrong settings: each verb does. */
export function createApp(input: AppInput): App {
  const context = createContext(input);
  return {
    log: context.log,
    redact: context.redact,
    run: async (request) => run(context, request),
    list: async (request) => list(context, request),
    verify: async (request) => verify(context, request),
    recoveryKit: async (request) => recoveryKit(context, request),
    config() {
      const shown = describeSettings(context.environment);
      context.load();
      return shown;
    },
    doctor: async (signal) => doctor(context, signal),
    [Symbol.asyncDispose]: async () => context.close(),
  };
}
