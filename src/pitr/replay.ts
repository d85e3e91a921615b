// A moment as a running server of our own: planned, its log read and held against itself, the base unpacked and held against its
// manifest, replayed, and asked where it stopped. Whoever takes it has exactly that moment, or an error.

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { ServerPrograms } from '../database/server-programs.ts';
import { spaceOfScratch, tooLittle } from '../drill/scratch-space.ts';
import type { ServerMeans } from '../drill/server-home.ts';
import { AppError, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { BaseDocument } from '../snapshots/base-document.ts';
import type { Chain } from '../snapshots/chain-catalogue.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { ReadPatience } from '../storage/patient-reader.ts';
import { createUnpacker, readBase } from './base-reader.ts';
import { dropFalseTails } from './false-tail.ts';
import { unlessFull, type Room } from './full-disk.ts';
import { readHistories, readLineages } from './histories.ts';
import type { Moment } from './moment.ts';
import type { ObjectProblem } from './object-problem.ts';
import { planReplay, type ReplayPlan } from './plan.ts';
import {
  createReplayHome,
  stagedFolder,
  startReplay,
  type ReplayHome,
  type ReplayedServer,
  type ReplayUse,
} from './replay-server.ts';
import { stageWal, type StagedWal } from './wal-staging.ts';

/** What base and log are read with. */
export interface LayOutOptions {
  readonly repository: Repository;
  readonly chain: Chain;
  readonly moment: Moment;
  readonly identities: readonly string[];
  readonly threads: number;
  readonly patience?: ReadPatience | undefined;
  readonly onProgress: (bytes: number, expectedBytes: number) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What a replay needs. */
export interface ReplayOptions extends LayOutOptions, ServerMeans {
  readonly servers: readonly ServerPrograms[];
  readonly use: ReplayUse;
}

/** How long each part of a replay took, in milliseconds. */
export interface ReplayTimes {
  readonly stagedMs: number;
  readonly unpackedMs: number;
  readonly replayedMs: number;
}

/** A moment that is back. */
export interface Replayed extends AsyncDisposable, ReplayTimes {
  /** Where it is, with room for what belongs to it; goes with it. */
  readonly directory: string;
  readonly repository: Repository;
  readonly base: BaseDocument;
  readonly server: ReplayedServer;
  readonly programs: ServerPrograms;
  readonly staged: StagedWal;
  /** Objects at the end of the log that are not what was stored, and count for nothing. */
  readonly passedOver: readonly ObjectProblem[];
}

/** Brings a moment back. @throws AppError `restore`, `verify` or `store`. */
export async function replay(options: ReplayOptions): Promise<Replayed> {
  const { scratchDirectory } = options;
  const plan = await planOrThrow(options);
  const { base } = plan;
  const programs = programsFor(base, options.servers);
  assertOpenable(base, options);
  await assertSpace(plan, scratchDirectory);
  const room = {
    directory: scratchDirectory,
    needsBytes: base.segmentBytes,
    hint: 'Mount a larger volume at BACKUP_SCRATCH_DIR: it takes the data directory, its log and a dump of it.',
  };
  return unlessFull(room, async () => replayPlan(plan, { ...options, programs, room }));
}

async function replayPlan(
  plan: Awaited<ReturnType<typeof planOrThrow>>,
  { programs, room, ...options }: ReplayOptions & { readonly programs: ServerPrograms; readonly room: Room },
): Promise<Replayed> {
  const { base } = plan;
  await using stack = new AsyncDisposableStack();
  const home = stack.use(await createReplayHome(options));
  const { staged, ...times } = await layOut(plan, { ...options, data: home.data, own: home.own });
  const unpackedAt = performance.now();
  const server = stack.use(
    // Looked at before what it took is removed.
    await unlessFull(room, async () =>
      startReplay(home, {
        ...options,
        programs,
        superuser: base.server.superuser,
        timeline: plan.history.at(-1)?.timeline ?? base.timeline,
        reaches: staged.reaches,
      }),
    ),
  );
  const replayedAt = performance.now();
  const owned = stack.move();
  return {
    directory: home.directory,
    repository: options.repository,
    base,
    server,
    programs,
    staged,
    passedOver: plan.passedOver,
    ...times,
    replayedMs: Math.round(replayedAt - unpackedAt),
    [Symbol.asyncDispose]: async () => owned.disposeAsync(),
  };
}

/** A plan for the moment. @throws AppError `restore` with the reason why there is none. */
export async function planOrThrow(
  options: Pick<ReplayOptions, 'chain' | 'moment' | 'repository' | 'identities' | 'log' | 'signal'>,
): Promise<ReplayPlan & { readonly passedOver: readonly ObjectProblem[] }> {
  const lineages = await readLineages(options);
  const { wal, problems } = await dropFalseTails(options.chain, { ...options, lineages });
  const plan = planReplay({ ...options.chain, wal }, { ...options, lineages });
  if (plan.kind === 'plan') return { ...plan, passedOver: problems };
  throw new AppError('restore', `That moment cannot be had: ${plan.reason}`, { reason: 'not-found', hint: plan.hint });
}

/** @throws AppError `restore` when a base is encrypted and no key is at hand. */
export function assertOpenable(base: BaseDocument, { identities }: Pick<ReplayOptions, 'identities'>): void {
  if (base.tar.encryption === null || identities.length > 0) return;
  throw new AppError('restore', `The base backup ${base.id} is encrypted, and no private key is at hand`, {
    hint: 'Name the file with the private key with --identity, or set BACKUP_AGE_IDENTITY_FILE.',
  });
}

/** Lays out base and log in the data directory `data`, in which there is the folder for the log. */
export async function layOut(
  plan: ReplayPlan,
  { data, own, ...options }: LayOutOptions & Pick<ReplayHome, 'data' | 'own'>,
): Promise<{ readonly staged: StagedWal } & Omit<ReplayTimes, 'replayedMs'>> {
  const { base } = plan;
  const expected = base.tar.bytes + plan.segments.length * base.segmentBytes;
  const staging = path.join(data, stagedFolder);
  const startedAt = performance.now();
  const staged = await stageWal(plan, {
    ...options,
    directory: staging,
    own,
    onProgress: (segments) => options.onProgress(segments * base.segmentBytes, expected),
  });
  await stageHistories(plan, { ...options, directory: staging, own });
  const stagedAt = performance.now();
  options.log.info(
    { base: base.id, segments: staged.segments, directory: data },
    'The log is read and whole; unpacking the base',
  );
  await readBase(base, {
    ...options,
    to: createUnpacker(data, { own, except: stagedFolder }),
    onProgress: (bytes) => options.onProgress(staged.segments * base.segmentBytes + bytes, expected),
  });
  return {
    staged,
    stagedMs: Math.round(stagedAt - startedAt),
    unpackedMs: Math.round(performance.now() - stagedAt),
  };
}

// Stages the histories of the timelines that a plan follows.
async function stageHistories(
  plan: ReplayPlan,
  {
    directory,
    own,
    chain,
    ...options
  }: Pick<ReplayOptions, 'chain' | 'repository' | 'identities' | 'log' | 'signal'> & {
    readonly directory: string;
    readonly own: (file: string) => Promise<void>;
  },
): Promise<void> {
  const wanted = new Set(plan.history.map(({ timeline }) => timeline));
  const histories = chain.histories.filter(({ timeline }) => wanted.has(timeline));
  for (const { history, content } of (await readHistories({ ...options, chain: { histories } })).histories) {
    const file = path.join(directory, `${history.timeline.toString(16).toUpperCase().padStart(8, '0')}.history`);
    await writeFile(file, content, { mode: 0o600 });
    await own(file);
  }
}

function programsFor(base: BaseDocument, servers: readonly ServerPrograms[]): ServerPrograms {
  const found = servers.find(({ major }) => major === base.server.major);
  if (found !== undefined) return found;
  const there = servers.map(({ major }) => major).join(', ');
  throw new AppError(
    'restore',
    `The base is of PostgreSQL ${base.server.major}, and only a server of that version can replay it; here is ${there === '' ? 'none' : there}`,
    {
      reason: 'unsupported',
      hint: `Install the server of PostgreSQL ${base.server.major}, or name its directory in BACKUP_PG_BIN.`,
    },
  );
}

async function assertSpace({ base, segments }: ReplayPlan, scratchDirectory: string): Promise<void> {
  // The directory, its log, and a dump of it.
  const predicted = 2 * base.tar.content.bytes + segments.length * base.segmentBytes;
  const space = await spaceOfScratch(scratchDirectory).catch((error: unknown) => {
    throw toAppError(error, {
      code: 'restore',
      message: `The scratch directory '${scratchDirectory}' cannot be used`,
      hint: 'Mount a volume that this user may write at BACKUP_SCRATCH_DIR.',
    });
  });
  const lack = tooLittle(space, predicted);
  if (lack === null) return;
  throw new AppError('restore', `There is too little space to replay: ${lack}`, {
    reason: 'no-space',
    hint: 'Mount a larger volume at BACKUP_SCRATCH_DIR.',
  });
}
