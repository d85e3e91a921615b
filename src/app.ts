// The composition root: from the environment to an `App` whose verbs are the commands. Real things (stores, clocks, the
// log) are made here and nowhere else; tests pass their own.

import { availableParallelism } from 'node:os';
import { randomBytes } from 'node:crypto';
import { backUp, type BackupResult, type BackupStore } from './backup/backup.ts';
import type { ProgressListener } from './backup/progress.ts';
import { verifyFully } from './backup/verification.ts';
import { createEnvironment, type EnvironmentVariables } from './config/environment.ts';
import { settingsError } from './config/problem.ts';
import { describeSettings, type ShownSetting } from './config/shown.ts';
import { readSettings, type LogSettings, type Settings } from './config/settings.ts';
import { findClients } from './database/clients.ts';
import { examine } from './doctor/doctor.ts';
import type { Finding } from './doctor/finding.ts';
import { AppError } from './errors.ts';
import { createLog, createRedactor, type Log, type Redact } from './log.ts';
import { readCatalogue, selectSnapshot, type Catalogue } from './manifest/catalogue.ts';
import type { Manifest } from './manifest/manifest.ts';
import { readDatabaseTarget, type DatabaseTarget } from './mastodon/database-settings.ts';
import { instanceName } from './mastodon/instance.ts';
import { findMediaBucketProblem } from './mastodon/media-bucket.ts';
import { collectSecrets } from './mastodon/secrets.ts';
import { defaultMemoryLimit } from './plan/memory-limit.ts';
import type { Folder } from './plan/tier.ts';
import { maxClockSkewMs, probeKey, removeProbe, sweep } from './retention/deletion-law.ts';
import { takeLock } from './state/lock.ts';
import { createLocalStore } from './storage/local-store.ts';
import { createS3Store, defaultPatience, type S3Patience } from './storage/s3-store.ts';
import type { ObjectKey, RemovableStore, StoreName } from './storage/store.ts';

/** What tests replace. */
export interface AppOverrides {
  readonly now?: () => Date;
  readonly patience?: S3Patience;
  readonly toolVersion?: string;
}

/** What the program is started with. */
export interface AppInput {
  readonly environment: EnvironmentVariables;
  /** User id we run as, for error texts. */
  readonly uid: number;
  readonly toolVersion: string;
  readonly isTerminal: boolean;
  readonly writeLog: (text: string) => void;
  readonly overrides?: AppOverrides;
}

/** Options of a run. */
export interface RunRequest {
  readonly tier: Folder;
  readonly label: string | null;
  readonly wait: boolean;
  readonly processId: number;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** What `verify` found. */
export interface VerifyResult {
  readonly manifest: Manifest;
  readonly place: string;
  /** False when it is encrypted and no identity was at hand: hashed, but not decoded. */
  readonly decoded: boolean;
}

/** A store with the prefix of its keys. */
export interface PlacedStore {
  readonly store: RemovableStore;
  readonly prefix: string;
  readonly partsInMemory: number;
}

/** The program's verbs. */
export interface App extends AsyncDisposable {
  readonly log: Log;
  readonly redact: Redact;
  run(request: RunRequest): Promise<BackupResult>;
  list(options: {
    readonly from: StoreName | null;
    readonly tier: Folder | null;
    readonly signal: AbortSignal;
  }): Promise<Catalogue & { readonly place: string }>;
  verify(options: {
    readonly snapshot: string;
    readonly from: StoreName | null;
    readonly instance: string | null;
    readonly identities: readonly string[];
    readonly signal: AbortSignal;
    readonly onProgress: ProgressListener;
  }): Promise<VerifyResult>;
  config(): readonly ShownSetting[];
  doctor(signal: AbortSignal): Promise<readonly Finding[]>;
}

interface Loaded {
  readonly settings: Settings;
  readonly target: DatabaseTarget;
}

/** Makes the app. Never throws for wrong settings: each verb does, so that `config` and `doctor` can still speak. */
export function createApp(input: AppInput): App {
  const environment = createEnvironment(input.environment, input);
  const reading = readSettings(environment);
  const database = readDatabaseTarget(environment);
  const media = findMediaBucketProblem(environment, reading.settings?.s3 ?? null);
  const redact = createRedactor(collectSecrets(environment));
  const log = createAppLog(reading.log, { input, redact });
  const warnings = [...reading.warnings, ...database.warnings];
  const now = input.overrides?.now ?? (() => new Date());
  const opened: PlacedStore[] = [];
  let warned = false;

  function load(): Loaded {
    if (!warned) for (const warning of warnings) log.warn({}, warning);
    warned = true;
    const problems = [...reading.problems, ...database.problems, ...(media === undefined ? [] : [media])];
    if (problems.length > 0 || reading.settings === null || database.target === null) throw settingsError(problems);
    return { settings: reading.settings, target: database.target };
  }

  function stores(settings: Settings): readonly PlacedStore[] {
    if (opened.length === 0) opened.push(...openStores(settings, { log, patience: input.overrides?.patience }));
    return opened;
  }

  function storeToRead(settings: Settings, from: StoreName | null): PlacedStore {
    const all = stores(settings);
    const found = from === null ? all[0] : all.find(({ store }) => store.name === from);
    if (found !== undefined) return found;
    throw new AppError('usage', `There is no destination '${from}' in the settings`, {
      hint: from === 'local' ? 'Set BACKUP_LOCAL_DIR.' : 'Set BACKUP_S3_BUCKET and its keys.',
    });
  }

  return {
    log,
    redact,
    async run(request) {
      const { settings, target } = load();
      const name = request.label === null ? `run ${request.tier}` : 'run --label';
      const timeout = timeoutSignal(settings.timeoutMs);
      const signal = AbortSignal.any([request.signal, timeout.signal]);
      try {
        await using _lock = await takeLock({
          directory: settings.stateDirectory,
          holder: { command: name, processId: request.processId, since: now().toISOString() },
          wait: request.wait,
          signal,
          log,
        });
        await sweepAll(stores(settings), { settings, now, log, signal });
        const clients = await findClients({
          directory: settings.pgBin,
          path: environment.get('PATH')?.text ?? '',
          signal,
        });
        return await backUp({
          ...settings,
          tier: request.tier,
          label: request.label,
          slot: null,
          instance: instanceName(environment, target),
          toolVersion: input.toolVersion,
          connection: target,
          clients,
          stores: stores(settings) satisfies readonly BackupStore[],
          compression:
            settings.compression.kind === 'xz'
              ? { ...settings.compression, threads: settings.threads }
              : settings.compression,
          cores: availableParallelism(),
          memoryLimitBytes: settings.memoryLimitBytes ?? (await defaultMemoryLimit()),
          recipients: settings.ageRecipients,
          now,
          log,
          signal,
          onProgress: request.onProgress,
        });
      } finally {
        timeout.clear();
      }
    },
    async list({ from, tier, signal }) {
      const { store, prefix } = storeToRead(load().settings, from);
      const catalogue = await readCatalogue(store, { prefix, signal, ...(tier === null ? {} : { folders: [tier] }) });
      return { ...catalogue, place: store.description };
    },
    async verify({ snapshot, from, instance, identities, signal, onProgress }) {
      const { settings } = load();
      const { store, prefix } = storeToRead(settings, from);
      const catalogue = await readCatalogue(store, { prefix, signal });
      const manifest = selectSnapshot(catalogue, {
        text: snapshot,
        instance: instance ?? undefined,
        place: store.description,
      });
      const keys = [...identities, ...settings.ageIdentities];
      const encrypted = manifest.object.encryption !== null;
      const decoded = !encrypted || keys.length > 0;
      await verifyFully(store, {
        expected: {
          ...manifest.object,
          key: manifest.object.key as ObjectKey,
          dump: manifest.dump,
          rows: manifest.database.rows,
        },
        identities: encrypted ? (decoded ? keys : 'missing') : null,
        signal,
        log,
        onProgress: (bytes) => onProgress({ step: 'verify', bytes, expectedBytes: manifest.object.bytes }),
      });
      return { manifest, place: store.description, decoded };
    },
    config() {
      const shown = describeSettings(environment);
      load();
      return shown;
    },
    async doctor(signal) {
      const { settings, target } = load();
      const random = randomBytes(8).toString('hex');
      return examine({
        settings,
        warnings,
        connection: target,
        pathVariable: environment.get('PATH')?.text ?? '',
        memoryLimitBytes: settings.memoryLimitBytes ?? (await defaultMemoryLimit()),
        cores: availableParallelism(),
        maxClockSkewMs,
        stores: stores(settings).map(({ store, prefix, partsInMemory }) => {
          const key = probeKey({ prefix, random });
          return {
            store,
            prefix,
            partsInMemory,
            // A time of its own: also who is interrupted takes the probe away.
            probe: {
              key,
              remove: async () => removeProbe(store, { key, prefix, signal: AbortSignal.timeout(10_000) }),
            },
          };
        }),
        now,
        signal,
      });
    },
    async [Symbol.asyncDispose]() {
      for (const { store } of opened) await store.close();
    },
  };
}

function createAppLog(
  settings: LogSettings,
  { input, redact }: { readonly input: AppInput; readonly redact: Redact },
): Log {
  return createLog({
    level: settings.level,
    format: settings.format ?? (input.isTerminal ? 'pretty' : 'json'),
    redact,
    write: input.writeLog,
  });
}

// The bucket comes first: reading commands take it when there is one.
function openStores(
  settings: Settings,
  { log, patience }: { readonly log: Log; readonly patience: S3Patience | undefined },
): readonly PlacedStore[] {
  const stores: PlacedStore[] = [];
  if (settings.s3 !== null) {
    const { s3, stallTimeoutMs } = settings;
    // Silence counts as a failed attempt well before the whole destination counts as stalled.
    const socketTimeoutMs = Math.min(defaultPatience.socketTimeoutMs, Math.max(1_000, stallTimeoutMs / 2));
    const store = createS3Store(s3, { log, patience: patience ?? { ...defaultPatience, socketTimeoutMs } });
    stores.push({ store, prefix: s3.prefix, partsInMemory: s3.concurrency + 2 });
  }
  if (settings.localDirectory !== null) {
    stores.push({ store: createLocalStore({ directory: settings.localDirectory }), prefix: '', partsInMemory: 0 });
  }
  return stores;
}

// What cannot be swept today is swept tomorrow; it is no reason not to back up.
async function sweepAll(
  stores: readonly PlacedStore[],
  options: { readonly settings: Settings; readonly now: () => Date; readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  for (const { store, prefix } of stores) {
    try {
      await sweep(store, {
        prefix,
        now: options.now(),
        timeoutMs: options.settings.timeoutMs,
        log: options.log,
        signal: options.signal,
      });
    } catch (error) {
      options.signal.throwIfAborted();
      options.log.warn(
        { err: error, store: store.description },
        'Could not look for what interrupted runs left behind',
      );
    }
  }
}

function timeoutSignal(timeoutMs: number): { readonly signal: AbortSignal; readonly clear: () => void } {
  const controller = new AbortController();
  const abort = (): void =>
    controller.abort(
      new AppError('timeout', `The run took longer than BACKUP_TIMEOUT (${Math.round(timeoutMs / 60_000)} min)`, {
        hint: 'Raise BACKUP_TIMEOUT, or make runs faster: more BACKUP_THREADS, a lower BACKUP_COMPRESSION_LEVEL.',
      }),
    );
  // setTimeout takes at most 2^31-1 ms, some 24 days.
  const timer = setTimeout(abort, Math.min(timeoutMs, 2 ** 31 - 1));
  return { signal: controller.signal, clear: () => clearTimeout(timer) };
}
