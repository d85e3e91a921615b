// `restore --at`: a moment becomes a database, a plain archive, or a data directory. Replayed in a throw-away server of our own and
// dumped from there, so that the running server is neither stopped nor touched and no C library matters; from the dump on it is a
// restore like any other.

import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { backUp } from '../backup/backup.ts';
import { defaultMemoryLimit } from '../backup/memory-limit.ts';
import { note, type CheckResult } from '../checks/check.ts';
import { identitiesOf } from '../config/age-keys.ts';
import { AppError } from '../errors.ts';
import { chooseChain, describeOthers, type ChosenChain } from '../pitr/chain-choice.ts';
import { layOutDataDirectory, type DataDirectory } from '../pitr/data-directory.ts';
import { formatMicros, parseMoment, type Moment } from '../pitr/moment.ts';
import { replay, type Replayed, type ReplayOptions, type ReplayTimes } from '../pitr/replay.ts';
import type { ReplayUse } from '../pitr/replay-server.ts';
import { writeArchive, type FileOutput } from '../restore/archive-file.ts';
import { assertUsableName } from '../restore/target.ts';
import type { SnapshotSource } from '../snapshots/dump-stream.ts';
import { dumpOf } from '../snapshots/manifest.ts';
import { createRepository } from '../snapshots/repository.ts';
import { createLocalStore } from '../storage/local-store.ts';
import type { StoreName } from '../storage/store.ts';
import { plural } from '../text/table.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import {
  asRestoreFailure,
  restoreFrom,
  type FileReport,
  type RestoreReport,
  type RestoreRequest,
} from './restore-verb.ts';
import { tidyRestores } from './scratch.ts';
import { scratchMeans } from './scratch-means.ts';

/** What all three have in common. */
export interface MomentSource extends Pick<RestoreRequest, 'identities' | 'signal' | 'onProgress'> {
  /** As it was written. */
  readonly at: string;
  readonly from: StoreName | null;
  /** Null: the only instance in the prefix. */
  readonly instance: string | null;
  /** Whether base backups that nobody who is trusted has signed are taken for ours. */
  readonly acceptUnsigned: boolean;
  /** Whether to wait while a run holds the lock. */
  readonly wait: boolean;
}

/** Options of `restore --at TIME --to-database NAME`. */
export type MomentRequest = MomentSource & Omit<RestoreRequest, 'snapshot' | 'before' | 'acceptUnsigned'>;

/** Options of `restore --at TIME --output FILE`. */
export interface MomentFileRequest extends MomentSource {
  readonly output: FileOutput;
}

/** Options of `restore --at TIME --data-directory DIR`. */
export interface MomentDirectoryRequest extends MomentSource {
  readonly directory: string;
}

/** What came back of a moment. */
export interface MomentFacts extends ReplayTimes {
  /** The moment of the last transaction in it, as PostgreSQL writes it; null: there is none behind the base. */
  readonly lastTransactionAt: string | null;
  readonly base: string;
  readonly segments: number;
}

/** What `restore --at TIME --to-database NAME` did. */
export type MomentReport = RestoreReport & { readonly moment: MomentFacts & { readonly dumpedMs: number } };

/** What `restore --at TIME --output FILE` did. */
export type MomentFileReport = FileReport & { readonly moment: MomentFacts };

/** Brings a moment back into a database. */
export async function restoreMoment(context: AppContext, request: MomentRequest): Promise<MomentReport> {
  const { signal, database } = request;
  assertUsableName(database, { source: null });
  const moment = parseMoment(request.at, context.load().settings);
  await using _lock = await lockFor(context, { command: 'restore', wait: request.wait, signal });
  await tidyRestores(context);
  return await asRestoreFailure(signal, async () => {
    const chosen = await readMomentChain(context, request);
    await using replayed = await bringBack(context, { moment, use: 'restore', request, chosen });
    const startedAt = performance.now();
    const source = await dumpReplayed(context, { replayed, request });
    const dumpedMs = Math.round(performance.now() - startedAt);
    const report = await restoreFrom(context, {
      source: { ...source, notes: notesOf(chosen, replayed) },
      request: { ...request, snapshot: 'latest' },
    });
    const facts = factsOf(replayed);
    return { ...report, ...named(facts, replayed), moment: { ...facts, dumpedMs } };
  });
}

/** Writes the database of a moment as pg_dump makes it. */
export async function writeMoment(context: AppContext, request: MomentFileRequest): Promise<MomentFileReport> {
  const { signal, output } = request;
  const moment = parseMoment(request.at, context.load().settings);
  await using _lock = await lockFor(context, { command: 'restore', wait: request.wait, signal });
  return await asRestoreFailure(signal, async () => {
    const chosen = await readMomentChain(context, request);
    await using replayed = await bringBack(context, { moment, use: 'restore', request, chosen });
    const source = await dumpReplayed(context, { replayed, request });
    await writeArchive(source, { output, log: context.log, signal, onProgress: () => undefined });
    const facts = factsOf(replayed);
    return { ...named(facts, replayed), bytes: dumpOf(source.manifest).content.bytes, moment: facts };
  });
}

/** Makes a data directory that PostgreSQL of the same version replays to the moment when it is started on it. */
export async function layOutMoment(context: AppContext, request: MomentDirectoryRequest): Promise<DataDirectory> {
  const { signal } = request;
  const moment = parseMoment(request.at, context.load().settings);
  return asRestoreFailure(signal, async () => {
    const chosen = await readMomentChain(context, request);
    return layOutDataDirectory({
      ...(await replayOptions(context, { moment, use: 'restore', request, chosen })),
      directory: request.directory,
    });
  });
}

/** Replays a moment. The caller holds the lock of `use`. */
export async function bringBack(
  context: AppContext,
  options: {
    readonly moment: Moment;
    readonly use: ReplayUse;
    readonly request: MomentSource;
    readonly chosen: ChosenChain;
  },
): Promise<Replayed> {
  const { chain, ...rest } = await replayOptions(context, options);
  const { systemIdentifier, bases } = chain;
  context.log.info({ systemIdentifier, bases: bases.length, at: options.request.at }, 'Bringing a moment back');
  return replay({ chain, ...rest });
}

async function replayOptions(
  context: AppContext,
  { moment, use, request, chosen }: Parameters<typeof bringBack>[1],
): Promise<ReplayOptions> {
  const { settings } = context.load();
  const { signal } = request;
  for (const other of describeOthers(chosen)) context.log.warn({}, `Whose moment: ${other}`);
  const stored = await context.storeToRead(request.from);
  const repository = request.acceptUnsigned ? { ...stored, signing: { ...stored.signing, trusted: [] } } : stored;
  return {
    ...(await scratchMeans(context, signal)),
    repository,
    chain: chosen.chain,
    moment,
    identities: [...request.identities, ...identitiesOf(settings.keys)],
    threads: settings.threads,
    use,
    patience: context.readPatience,
    onProgress: (bytes, expectedBytes) => request.onProgress({ step: 'restore', bytes, expectedBytes }),
    signal,
  };
}

/** What is stored of the server with the newest base backup, as far as it counts. */
export async function readMomentChain(
  context: AppContext,
  request: Pick<MomentSource, 'from' | 'instance' | 'acceptUnsigned' | 'signal'>,
): Promise<ChosenChain> {
  return chooseChain(await context.storeToRead(request.from), request);
}

/** What is to be said of what was chosen, and of what was passed over. */
export function notesOf(chosen: ChosenChain, { passedOver }: Pick<Replayed, 'passedOver'>): readonly CheckResult[] {
  const [first] = passedOver;
  return [
    ...describeOthers(chosen).map((text) => note('server', text)),
    ...(first === undefined
      ? []
      : [
          note(
            'log',
            `${plural(passedOver.length, 'object')} at the end of the stored log ${passedOver.length === 1 ? 'is' : 'are'} not what was stored, such as '${first.object}': ${first.problem}`,
            { remedy: 'See all of them with: mastodon-backup pitr verify.' },
          ),
        ]),
  ];
}

// Made, read back and committed as every other, so that what is restored was counted and hashed.
/** Dumps the database of a replayed server into a store beside it, which goes with it. */
export async function dumpReplayed(
  context: AppContext,
  { replayed, request }: { readonly replayed: Replayed; readonly request: MomentSource },
): Promise<SnapshotSource> {
  const { settings, target } = context.load();
  const { signal, onProgress } = request;
  const directory = path.join(replayed.directory, 'dump');
  await mkdir(directory, { mode: 0o700 });
  const repository = createRepository(createLocalStore({ directory }));
  const result = await backUp({
    ...settings,
    purpose: { kind: 'by hand', tier: 'daily' },
    instance: replayed.base.instance,
    role: null,
    toolVersion: context.toolVersion,
    environment: context.environment,
    secrets: 'off',
    connection: replayed.server.connection(target.database),
    clients: await context.findClients(signal),
    stores: [repository],
    earlier: [],
    silent: [],
    refused: new Map(),
    lastEncryption: null,
    compression: { kind: 'zstd', level: 1, threads: 1 },
    cores: availableParallelism(),
    memoryLimitBytes: settings.memoryLimitBytes ?? (await defaultMemoryLimit()),
    verify: 'full',
    recipients: [],
    allowPlaintext: true,
    readPatience: context.readPatience,
    now: context.now,
    log: context.log,
    signal,
    onProgress,
  });
  const [outcome] = result.outcomes;
  if (outcome?.kind !== 'stored')
    throw (
      outcome?.error ??
      new AppError('restore', 'The replayed database could not be dumped', {
        hint: 'Look at the log above, then try again.',
      })
    );
  return { repository, manifest: outcome.manifest, identities: null, threads: settings.threads };
}

/** What came back, in figures. */
export function factsOf({ base, staged, stagedMs, unpackedMs, replayedMs }: Replayed): MomentFacts {
  const { lastMicros, segments } = staged;
  const lastTransactionAt = lastMicros === null ? null : formatMicros(lastMicros);
  return { lastTransactionAt, base: base.id, segments, stagedMs, unpackedMs, replayedMs };
}

function named(
  { base, lastTransactionAt }: MomentFacts,
  replayed: Replayed,
): { readonly snapshot: string; readonly place: string; readonly dataAt: string } {
  return {
    snapshot: `pitr/${base}`,
    place: replayed.repository.store.description,
    dataAt: (lastTransactionAt === null ? replayed.base.endedAt : new Date(lastTransactionAt)).toISOString(),
  };
}
