// One run, on one page: ask the database, plan, dump once into every destination, read back, and only then write the
// manifest that makes it a backup. A destination that fails loses its own copy and no other.

import { createOneRunKey } from '../codec/age.ts';
import { encoders, threadsOf, type Compression } from '../codec/codec.ts';
import type { Environment } from '../config/environment.ts';
import type { Settings } from '../config/settings.ts';
import { chooseClient, type ClientPrograms } from '../database/clients.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { startDump } from '../database/dump.ts';
import { estimateDumpBytes } from '../database/dump-size.ts';
import { readDatabaseFacts, readServerClock } from '../database/server.ts';
import type { AppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { lastDumpBytes } from '../snapshots/earlier-backups.ts';
import { createSnapshotId } from '../snapshots/object-keys.ts';
import type { Folder } from '../schedule/tier.ts';
import type { ReadPatience } from '../storage/patient-reader.ts';
import type { Repository } from '../snapshots/repository.ts';
import { makeWorkersNice } from '../stream/niceness.ts';
import { storeBranch, type DestinationOutcome } from '../snapshots/destination.ts';
import { reachCommitPoint } from './commit-point.ts';
import { reportTableLosses } from './emptied-tables.ts';
import { encloseExtra } from './extra-enclosure.ts';
import { failSpared, firstFailure, inOrder } from './outcomes.ts';
import { startPipeline } from './pipeline.ts';
import { produceDump } from './dump-producer.ts';
import {
  describeStrangers,
  placesWithoutAnswer,
  refusePlaintextAfterEncrypted,
  type PlaintextCircumstances,
} from './plaintext-guard.ts';
import type { ProgressListener } from './progress.ts';
import { folderOf, type Purpose } from './purpose.ts';
import { placesWithoutRoom } from './room-check.ts';
import { planCompression, planDestinations } from './run-plan.ts';
import { encryptSecrets, lookForOtherSecrets } from './secrets-object.ts';
import { checkSource } from './source-checks.ts';
import { describeClocks, describeSnapshot, ourMoment } from './snapshot-base.ts';
import { readSourceState } from './source-state.ts';

/** Everything a run needs. */
export interface BackupOptions
  extends
    PlaintextCircumstances,
    Pick<
      Settings,
      | 'mastodonImage'
      | 'secrets'
      | 'extraFiles'
      | 'lockWaitMs'
      | 'yieldAfterMs'
      | 'niceness'
      | 'verify'
      | 'stallTimeoutMs'
    > {
  readonly purpose: Purpose;
  readonly instance: string;
  /** The role that Mastodon uses; null: nobody knows. */
  readonly role: string | null;
  readonly toolVersion: string;
  /** Where Mastodon's settings are. */
  readonly environment: Environment;
  readonly connection: ConnectionSettings;
  readonly clients: readonly ClientPrograms[];
  readonly stores: readonly Repository[];
  /** Those in which nothing may be stored, each with the reason. */
  readonly refused: ReadonlyMap<Repository, AppError>;
  readonly compression: Compression;
  readonly cores: number;
  readonly memoryLimitBytes: number;
  /** How often a broken download is taken up again; left out: as usual. */
  readonly readPatience?: ReadPatience | undefined;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** How a run ended that got as far as its destinations. */
export interface BackupResult {
  readonly id: string;
  readonly tier: Folder;
  readonly dataAt: Date;
  readonly dumpBytes: number;
  readonly objectBytes: number;
  /** How far the database's clock was ahead of ours, in milliseconds; null: it was not asked. */
  readonly aheadMs: number | null;
  readonly warnings: readonly string[];
  /** Those of the warnings that say what was to travel with the backup and does not. */
  readonly leftOut: readonly string[];
  readonly outcomes: readonly DestinationOutcome[];
}

/**
 * Makes one backup. Resolves when at least the dump was good, with each destination's outcome; rejects with AppError when
 * nothing could be stored anywhere for a reason that is not a destination's.
 */
export async function backUp(options: BackupOptions): Promise<BackupResult> {
  try {
    return await makeBackup(options);
  } catch (error) {
    // What broke because we were told to stop is not the reason.
    options.signal.throwIfAborted();
    throw error;
  }
}

async function makeBackup(options: BackupOptions): Promise<BackupResult> {
  const { log, signal } = options;
  await using control = await connect(options.connection, signal);
  const facts = await readDatabaseFacts(control);
  const aheadMs = (await readServerClock(control)).getTime() - options.now().getTime();
  const client = chooseClient(options.clients, { major: facts.serverMajor, version: facts.serverVersion });
  const { earlier } = options;
  refusePlaintextAfterEncrypted(options);
  const spared = new Map([
    ...(await placesWithoutRoom(options.stores, {
      ...options,
      compression: options.compression.kind,
      databaseBytes: facts.sizeBytes,
    })),
    ...placesWithoutAnswer(options),
    ...options.refused,
  ]);
  const stores = options.stores.filter((repository) => !spared.has(repository));
  const [firstSpared] = spared.values();
  if (stores.length === 0 && firstSpared !== undefined) throw firstSpared;
  const warnings = [
    ...(await checkSource(control, facts)),
    ...describeClocks(aheadMs),
    ...describeStrangers(options),
    ...lookForOtherSecrets(earlier, options.environment),
  ];
  for (const warning of warnings) log.warn({}, warning);

  const id = createSnapshotId(options.now());
  const destinations = planDestinations({ ...options, stores }, { id, facts });
  const compression = planCompression({ ...options, stores }, destinations);
  const oneRunKey = options.recipients.length === 0 ? null : await createOneRunKey(options.recipients);
  const secrets = await encryptSecrets(options.environment, { ...options, id, oneRunKey });
  const extra = await encloseExtra(options, oneRunKey);
  for (const text of extra.leftOut) log.warn({}, text);
  const enclosures = [secrets, extra.enclosure].filter((one) => one !== null);
  const expectedBytes = lastDumpBytes(earlier, facts) ?? (await estimateDumpBytes(control));
  log.info(
    {
      id,
      tier: folderOf(options.purpose),
      database: facts.name,
      server: facts.serverVersion,
      client: client.version,
      sizeBytes: facts.sizeBytes,
    },
    'Dump started',
  );

  await makeWorkersNice(options.niceness);
  await using dump = await startDump({
    connection: options.connection,
    control,
    client,
    serverMajor: facts.serverMajor,
    lockWaitMs: options.lockWaitMs,
    niceness: options.niceness,
    yieldAfterMs: options.yieldAfterMs,
    stallTimeoutMs: options.stallTimeoutMs,
    signal,
    readInSnapshot: async (session, turns) => readSourceState(session, { ...options, turns }),
    log,
  });
  const pipeline = startPipeline({
    producer: produceDump(dump),
    encoders: encoders({
      compression,
      recipients: oneRunKey === null ? [] : [...options.recipients, oneRunKey.recipient],
    }),
    destinations: destinations.length,
    stallTimeoutMs: options.stallTimeoutMs,
    firstByteGraceMs: options.lockWaitMs,
    signal,
    observeObject: (chunk) => {
      for (const { etagMeter } of destinations) etagMeter?.push(chunk);
    },
    onProgress: (bytes) => options.onProgress({ step: 'dump', bytes, expectedBytes }),
  });
  const puts = destinations.map(async (destination, index) => {
    const branch = pipeline.branches[index];
    if (branch === undefined) throw new Error('A destination has no branch');
    return storeBranch(destination, { ...options, branch, sourceEnded: () => pipeline.ended(), retained: true });
  });
  const stored = await Promise.allSettled(puts);
  const passed = await pipeline.done;
  const losses = reportTableLosses(passed?.found.rows ?? null, { ...options, ...dump.seen });

  const threads = threadsOf(compression);
  const outcomes = await Promise.all(
    destinations.map(async (destination, index) =>
      reachCommitPoint(destination, {
        options,
        put: stored[index],
        describe: (etag) => {
          if (passed === null) throw new Error('Every destination failed, but this one did not say so');
          return describeSnapshot(options, {
            id,
            facts,
            client,
            source: dump.seen,
            passed,
            emptied: losses.emptied,
            destination,
            etag,
            aheadMs,
            now: options.now(),
          });
        },
        threads,
        oneRunKey,
        enclosures,
        secrets: secrets === null ? null : { fingerprints: secrets.fingerprints },
      }),
    ),
  );
  if (passed === null) throw firstFailure(outcomes);
  return {
    id,
    tier: folderOf(options.purpose),
    dataAt: ourMoment(passed.end.dataAt, { id, aheadMs, now: options.now() }),
    dumpBytes: passed.content.bytes,
    objectBytes: passed.object.bytes,
    aheadMs,
    warnings: [...warnings, ...dump.warnings, ...losses.warnings, ...extra.leftOut],
    leftOut: extra.leftOut,
    outcomes: inOrder([...outcomes, ...failSpared(spared, { options, id, facts })], options),
  };
}
