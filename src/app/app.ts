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
import type { Adoption, AdoptRequest } from './adopt-verb.ts';
import type { CompareRequest, CompareResult } from './compare-verb.ts';
import type { ConfigReport } from './config-verb.ts';
import type { createPlaceWatch } from './place-watch.ts';
import { loadVerbs, verbs } from './verb-modules.ts';
import { createContext, type AppInput } from './context.ts';
import type { DrillRequest } from './drill-verb.ts';
import type { DrillLook } from './due-drill.ts';
import type { ChainPrune } from './chain-pruning.ts';
import type { BaseLook, BaseReport, BaseRequest } from './base-backups.ts';
import type { Surroundings, heartbeat, waitForDatabase } from './daemon-verbs.ts';
import type { LifecycleReport } from './lifecycle-verb.ts';
import type { Keygen, KeygenRequest } from './keygen-verb.ts';
import type { MomentDrill, MomentDrillRequest } from './moment-drill.ts';
import type {
  MomentDirectoryRequest,
  MomentFileReport,
  MomentFileRequest,
  MomentReport,
  MomentRequest,
} from './moment-verb.ts';
import type { PitrStatus } from './pitr-status-verb.ts';
import type { PitrVerification, PitrVerifyRequest } from './pitr-verify-verb.ts';
import type { DataDirectory } from '../pitr/data-directory.ts';
import type { ListRequest, PlacedCatalogue, VerifyRequest, VerifyResult } from './reading-verbs.ts';
import type { NotifyTestRequest } from './notify-verb.ts';
import type { ChannelOutcome } from '../notify/notifier.ts';
import type { PinReport, PinRequest } from './pin-verb.ts';
import type { OpenRequest } from './open-verb.ts';
import type { PruneRequest } from './prune-verb.ts';
import type { PlacePrune } from './pruning.ts';
import type { Remembered } from './remembered.ts';
import type { ExtraReport, FileReport, FileRequest, RestoreReport, RestoreRequest } from './restore-verb.ts';
import type { RunReport, RunRequest, ScheduledRunRequest } from './run-verb.ts';
import type { UpgradeCheck, UpgradeCheckRequest } from './upgrade-check.ts';
import type { UpgradeRequest } from './upgrade-steps.ts';
import type { Rehearsal, UpgradeReport } from './upgrade-verb.ts';
import type { RecoveryKitRequest } from './recovery-kit-verb.ts';

/** The program's verbs. */
export interface App extends AsyncDisposable {
  readonly log: Log;
  readonly redact: Redact;
  /** What would be left behind if the process ended now, each with its remedy. */
  remains(): readonly string[];
  /** Loads what the other verbs need, which is else loaded when one of them is first asked for. */
  load(): Promise<void>;
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
  let watch: ReturnType<typeof createPlaceWatch> | undefined;
  return {
    log: context.log,
    redact: context.redact,
    remains: () => context.remains.list(),
    load: loadVerbs,
    run: async (request) => (await verbs.run()).run(context, request),
    runScheduled: async (request) => (await verbs.run()).runScheduled(context, request),
    list: async (request) => (await verbs.reading()).list(context, request),
    verify: async (request) => (await verbs.reading()).verify(context, request),
    compare: async (request) => (await verbs.compare()).compare(context, request),
    open: async (request) => (await verbs.open()).open(context, request),
    prune: async (request) => (await verbs.prune()).prune(context, request),
    pruneChains: async (request) => (await verbs.chainPruning()).pruneChainsByHand(context, request),
    showLifecycle: async (signal) => (await verbs.lifecycle()).showLifecycle(context, signal),
    applyLifecycle: async (signal) => (await verbs.lifecycle()).applyLifecycle(context, signal),
    health: async () => (await verbs.health()).health(context),
    notifyTest: async (request) => (await verbs.notify()).notifyTest(context, request),
    remembered: async () => (await verbs.remembered()).remembered(context),
    status: async () => (await verbs.status()).status(context),
    drillReport: async (id) => (await verbs.status()).drillReport(context, id),
    http() {
      const { http } = context.load().settings;
      return http === null ? null : { ...http, ownNames: ownDomains(context.environment) };
    },
    timetable: () => context.timetable(),
    tidyScratch: async (signal) => (await verbs.scratch()).tidyScratch(context, signal),
    waitForDatabase: async (options) => (await verbs.daemon()).waitForDatabase(context, options),
    lookAround: async (options) => (await verbs.daemon()).lookAround(context, options),
    async placesChanged(signal) {
      const { createPlaceWatch: create } = await verbs.placeWatch();
      watch ??= create(context);
      return watch.changed(signal);
    },
    mend: async (signal) => (await verbs.mend()).mend(context, signal),
    drillIfDue: async (signal) => (await verbs.dueDrill()).drillIfDue(context, signal),
    restore: async (request) => (await verbs.restore()).restore(context, request),
    restoreFile: async (request) => (await verbs.restore()).restoreFile(context, request),
    restoreSecrets: async (request) => (await verbs.restore()).restoreSecrets(context, request),
    restoreMoment: async (request) => (await verbs.moment()).restoreMoment(context, request),
    writeMoment: async (request) => (await verbs.moment()).writeMoment(context, request),
    layOutMoment: async (request) => (await verbs.moment()).layOutMoment(context, request),
    drillMoment: async (request) => (await verbs.momentDrill()).drillMoment(context, request),
    pitrStatus: async (signal) => (await verbs.pitrStatus()).pitrStatus(context, signal),
    pitrBase: async (request) => (await verbs.baseBackups()).pitrBase(context, request),
    verifyPitr: async (request) => (await verbs.pitrVerify()).verifyPitr(context, request),
    wantsPitr: () => context.load().settings.pitr.isOn,
    followLog: async (signal) => (await verbs.logFollowing()).followLog(context, signal),
    baseIfDue: async (signal) => (await verbs.baseBackups()).baseIfDue(context, signal),
    restoreExtra: async (request) => (await verbs.restore()).restoreExtra(context, request),
    drill: async (request) => (await verbs.drill()).drill(context, request),
    upgradeCheck: async (request) => (await verbs.upgradeCheck()).upgradeCheck(context, request),
    upgradeRehearse: async (request) => (await verbs.upgrade()).upgradeRehearse(context, request),
    upgradeRun: async (request) => (await verbs.upgrade()).upgradeRun(context, request),
    heartbeat: async (sign) => (await verbs.daemon()).heartbeat(context, sign),
    recoveryKit: async (request) => (await verbs.recoveryKit()).recoveryKit(context, request),
    keygen: async (request) => (await verbs.keygen()).keygen(context, request),
    adopt: async (request) => (await verbs.adopt()).adopt(context, request),
    pin: async (request) => (await verbs.pin()).pin(context, request),
    unpin: async (request) => (await verbs.pin()).unpin(context, request),
    config: async (signal) => (await verbs.config()).config(context, signal),
    doctor: async (signal) => (await verbs.doctor()).doctor(context, signal),
    [Symbol.asyncDispose]: async () => context.close(),
  };
}
