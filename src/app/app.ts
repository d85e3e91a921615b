// The composition root: from the environment to an `App` whose verbs are the commands. Real things (stores, clocks, the
// log) are made below it and nowhere else; tests pass their own.

import { describeSettings, type ShownSetting } from '../config/shown.ts';
import type { Finding } from '../doctor/finding.ts';
import type { Health } from '../health/assess.ts';
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
import { health } from './health-verb.ts';
import { prune, type PruneRequest } from './prune-verb.ts';
import type { PlacePrune } from './pruning.ts';
import { run, runScheduled, type RunReport, type RunRequest, type ScheduledRunRequest } from './run-verb.ts';

/** The program's verbs. */
export interface App extends AsyncDisposable {
  readonly log: Log;
  readonly redact: Redact;
  run(request: RunRequest): Promise<RunReport>;
  runScheduled(request: ScheduledRunRequest): Promise<RunReport | null>;
  list(request: ListRequest): Promise<PlacedCatalogue>;
  verify(request: VerifyRequest): Promise<VerifyResult>;
  prune(request: PruneRequest): Promise<readonly PlacePrune[]>;
  health(): Promise<Health>;
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
    runScheduled: async (request) => runScheduled(context, request),
    list: async (request) => list(context, request),
    verify: async (request) => verify(context, request),
    prune: async (request) => prune(context, request),
    health: async () => health(context),
    config() {
      const shown = describeSettings(context.environment);
      context.load();
      return shown;
    },
    doctor: async (signal) => doctor(context, signal),
    [Symbol.asyncDispose]: async () => context.close(),
  };
}
