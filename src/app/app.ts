// The composition root: from the environment to an `App` whose verbs are the commands. Real things (stores, clocks, the
// log) are made below it and nowhere else; tests pass their own.

import type { Settings } from '../config/settings.ts';
import type { Finding } from '../doctor/finding.ts';
import type { Health } from '../health/assess.ts';
import type { Log, Redact } from '../log.ts';
import type { DrillDocument } from '../drill/drill-record.ts';
import type { Timetable } from '../schedule/timetable.ts';
import type { DrillReport } from '../state/records.ts';
import type { Status } from '../status/status.ts';
import { ownDomains } from '../mastodon/instance.ts';
import { adopt, type Adoption, type AdoptRequest } from './adopt-verb.ts';
import { compare, type CompareRequest, type CompareResult } from './compare-verb.ts';
import { config, type ConfigReport } from './config-verb.ts';
import { createContext, type AppInput } from './context.ts';
import { drill, type DrillRequest } from './drill-verb.ts';
import { drillIfDue, type DrillLook } from './due-drill.ts';
import { pruneChainsByHand, type ChainPrune } from './chain-pruning.ts';
import { baseIfDue, pitrBase, type BaseLook, type BaseReport, type BaseRequest } from './base-backups.ts';
import { heartbeat, lookAround, waitForDatabase, type Surroundings } from './daemon-verbs.ts';
import { doctor } from './doctor-verb.ts';
import { applyLifecycle, showLifecycle, type LifecycleReport } from './lifecycle-verb.ts';
import { keygen, type Keygen, type KeygenRequest } from './keygen-verb.ts';
import { followLog } from './log-following.ts';
import { mend } from './mend-verb.ts';
import { drillMoment, type MomentDrill, type MomentDrillRequest } from './moment-drill.ts';
import {
  layOutMoment,
  restoreMoment,
  writeMoment,
  type MomentDirectoryRequest,
  type MomentFileReport,
  type MomentFileRequest,
  type MomentReport,
  type MomentRequest,
} from './moment-verb.ts';
import { createPlaceWatch } from './place-watch.ts';
import { pitrStatus, type PitrStatus } from './pitr-status-verb.ts';
import { verifyPitr, type PitrVerification, type PitrVerifyRequest } from './pitr-verify-verb.ts';
import type { DataDirectory } from '../pitr/data-directory.ts';
import {
  list,
  verify,
  type ListRequest,
  type PlacedCatalogue,
  type VerifyRequest,
  type VerifyResult,
} from './reading-verbs.ts';
import { health } from './health-verb.ts';
import { notifyTest, type NotifyTestRequest } from './notify-verb.ts';
import type { ChannelOutcome } from '../notify/notifier.ts';
import { pin, unpin, type PinReport, type PinRequest } from './pin-verb.ts';
import { open, type OpenRequest } from './open-verb.ts';
import { prune, type PruneRequest } from './prune-verb.ts';
import type { PlacePrune } from './pruning.ts';
import { remembered, type Remembered } from './remembered.ts';
import {
  restore,
  restoreFile,
  restoreExtra,
  restoreSecrets,
  type ExtraReport,
  type FileReport,
  type FileRequest,
  type RestoreReport,
  type RestoreRequest,
} from './restore-verb.ts';
import { run, runScheduled, type RunReport, type RunRequest, type ScheduledRunRequest } from './run-verb.ts';
import { tidyScratch } from './scratch.ts';
import { drillReport, status } from './status-verb.ts';
import { upgradeCheck, type UpgradeCheck, type UpgradeCheckRequest } from './upgrade-check.ts';
import {
  upgradeRehearse,
  upgradeRun,
  type Rehearsal,
  type UpgradeReport,
  type UpgradeRequest,
} from './upgrade-verb.ts';
import { recoveryKit, type RecoveryKitRequest } from './recovery-kit-verb.ts';

/** The program's verbs. */
export interface App extends AsyncDisposable {
  readonly log: Log;
  readonly redact: Redact;
  /** What would be left behind if the process ended now, each with its remedy. */
  remains(): readonly string[];
  run(request: RunRequest): Promise<RunReport>;
  runScheduled(request: ScheduledRunRequest): Promise<RunReport | null>;
  list(request: ListRequest): Promise<PlacedCatalogue>;
  verify(request: VerifyRequest): Promise<VerifyResult>;
  compare(request: CompareRequest): Promise<CompareResult>;
  /** Opens a throw-away copy of a snapshot for reading, until whoever looks has ended. */
  open(request: OpenRequest): Promise<void>;
  prune(request: PruneRequest): Promise<readonly PlacePrune[]>;
  pruneChains(request: PruneRequest): Promise<readonly ChainPrune[]>;
  showLifecycle(signal: AbortSignal): Promise<LifecycleReport>;
  applyLifecycle(signal: AbortSignal): Promise<LifecycleReport>;
  health(): Promise<Health>;
  /** Sends a message by every channel, or by one. */
  notifyTest(request: NotifyTestRequest): Promise<readonly ChannelOutcome[]>;
  /** Everything that is remembered, for metrics. */
  remembered(): Promise<Remembered>;
  /** How it stands, for people. */
  status(): Promise<Status>;
  /** What a drill found; null: no such drill is remembered. */
  drillReport(id: string): Promise<DrillReport | null>;
  /** Where HTTP is served, and under which names of ours; null: it is not. */
  http(): (NonNullable<Settings['http']> & { readonly ownNames: readonly string[] }) | null;
  /** When backups are to be made. */
  timetable(): Timetable;
  /** Removes what killed drills and restores left in the scratch directory. */
  tidyScratch(signal: AbortSignal): Promise<void>;
  waitForDatabase(options: Parameters<typeof waitForDatabase>[1]): Promise<void>;
  lookAround(options: { readonly startedAt: Date; readonly signal: AbortSignal }): Promise<Surroundings>;
  /** Resolves when a destination has vanished or come back since it was last looked at, or with the signal. */
  placesChanged(signal: AbortSignal): Promise<void>;
  /** Copies what a destination missed; answers whether anything was copied. */
  mend(signal: AbortSignal): Promise<boolean>;
  restore(request: RestoreRequest): Promise<RestoreReport>;
  restoreFile(request: FileRequest): Promise<FileReport>;
  restoreSecrets(request: FileRequest): Promise<FileReport>;
  restoreMoment(request: MomentRequest): Promise<MomentReport>;
  writeMoment(request: MomentFileRequest): Promise<MomentFileReport>;
  layOutMoment(request: MomentDirectoryRequest): Promise<DataDirectory>;
  drillMoment(request: MomentDrillRequest): Promise<MomentDrill>;
  pitrStatus(signal: AbortSignal): Promise<PitrStatus>;
  pitrBase(request: BaseRequest): Promise<BaseReport>;
  verifyPitr(request: PitrVerifyRequest): Promise<PitrVerification>;
  /** Whether log and base backups are wanted. */
  wantsPitr(): boolean;
  /** Follows the server's log until the signal. */
  followLog(signal: AbortSignal): Promise<void>;
  /** Makes a base backup when one is due; answers that it did, or when to look again. */
  baseIfDue(signal: AbortSignal): Promise<BaseLook>;
  restoreExtra(request: FileRequest): Promise<ExtraReport>;
  drill(request: DrillRequest): Promise<DrillDocument>;
  upgradeCheck(request: UpgradeCheckRequest): Promise<UpgradeCheck>;
  upgradeRehearse(request: UpgradeRequest): Promise<Rehearsal>;
  upgradeRun(request: UpgradeRequest): Promise<UpgradeReport>;
  /** Runs the restore drill when its slot has come; answers that it ran, or when to look again. */
  drillIfDue(signal: AbortSignal): Promise<DrillLook>;
  heartbeat(sign: Parameters<typeof heartbeat>[1]): Promise<void>;
  /** One page, as text or HTML. */
  recoveryKit(request: RecoveryKitRequest): Promise<string>;
  /** A new signing key; needs no settings. */
  keygen(request: KeygenRequest): Promise<Keygen>;
  adopt(request: AdoptRequest): Promise<readonly Adoption[]>;
  /** Keeps a snapshot out of retention. */
  pin(request: PinRequest): Promise<readonly PinReport[]>;
  unpin(request: PinRequest): Promise<readonly PinReport[]>;
  config(signal: AbortSignal): Promise<ConfigReport>;
  doctor(signal: AbortSignal): Promise<readonly Finding[]>;
}

/** Makes the app. Never throws for wrong settings: each verb does. */
export function createApp(input: AppInput): App {
  const context = createContext(input);
  const watch = createPlaceWatch(context);
  return {
    log: context.log,
    redact: context.redact,
    remains: () => context.remains.list(),
    run: async (request) => run(context, request),
    runScheduled: async (request) => runScheduled(context, request),
    list: async (request) => list(context, request),
    verify: async (request) => verify(context, request),
    compare: async (request) => compare(context, request),
    open: async (request) => open(context, request),
    prune: async (request) => prune(context, request),
    pruneChains: async (request) => pruneChainsByHand(context, request),
    showLifecycle: async (signal) => showLifecycle(context, signal),
    applyLifecycle: async (signal) => applyLifecycle(context, signal),
    health: async () => health(context),
    notifyTest: async (request) => notifyTest(context, request),
    remembered: async () => remembered(context),
    status: async () => status(context),
    drillReport: async (id) => drillReport(context, id),
    http() {
      const { http } = context.load().settings;
      return http === null ? null : { ...http, ownNames: ownDomains(context.environment) };
    },
    timetable: () => context.timetable(),
    tidyScratch: async (signal) => tidyScratch(context, signal),
    waitForDatabase: async (options) => waitForDatabase(context, options),
    lookAround: async (options) => lookAround(context, options),
    placesChanged: async (signal) => watch.changed(signal),
    mend: async (signal) => mend(context, signal),
    drillIfDue: async (signal) => drillIfDue(context, signal),
    restore: async (request) => restore(context, request),
    restoreFile: async (request) => restoreFile(context, request),
    restoreSecrets: async (request) => restoreSecrets(context, request),
    restoreMoment: async (request) => restoreMoment(context, request),
    writeMoment: async (request) => writeMoment(context, request),
    layOutMoment: async (request) => layOutMoment(context, request),
    drillMoment: async (request) => drillMoment(context, request),
    pitrStatus: async (signal) => pitrStatus(context, signal),
    pitrBase: async (request) => pitrBase(context, request),
    verifyPitr: async (request) => verifyPitr(context, request),
    wantsPitr: () => context.load().settings.pitr.isOn,
    followLog: async (signal) => followLog(context, signal),
    baseIfDue: async (signal) => baseIfDue(context, signal),
    restoreExtra: async (request) => restoreExtra(context, request),
    drill: async (request) => drill(context, request),
    upgradeCheck: async (request) => upgradeCheck(context, request),
    upgradeRehearse: async (request) => upgradeRehearse(context, request),
    upgradeRun: async (request) => upgradeRun(context, request),
    heartbeat: async (sign) => heartbeat(context, sign),
    recoveryKit: async (request) => recoveryKit(context, request),
    keygen: async (request) => keygen(context, request),
    adopt: async (request) => adopt(context, request),
    pin: async (request) => pin(context, request),
    unpin: async (request) => unpin(context, request),
    config: async (signal) => config(context, signal),
    doctor: async (signal) => doctor(context, signal),
    [Symbol.asyncDispose]: async () => context.close(),
  };
}
