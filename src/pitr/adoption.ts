// What a person may vouch for who says that base backups and log from before the key are theirs: a base that is what its document and
// the server's own manifest say, and all log behind it to the first hole, object by object and record by record. One object in it that
// is not what it should be, and nothing is adopted: a piece of somebody else's, once signed, would be replayed without a word.

import { isDeepStrictEqual } from 'node:util';
import { noSigning } from '../config/signing-keys.ts';
import { AppError, describeError } from '../errors.ts';
import type { BaseDocument } from '../snapshots/base-document.ts';
import { readChain, type Chain, type StoredHistory, type StoredWal } from '../snapshots/chain-catalogue.ts';
import type { Repository } from '../snapshots/repository.ts';
import { statementOf, type Stated } from '../snapshots/wal-signature.ts';
import type { ObjectKey } from '../storage/store.ts';
import { readBase } from './base-reader.ts';
import type { ChainCheckOptions } from './chain-check.ts';
import { lineagesOf, readHistories, readHistory, type HistoryOptions } from './histories.ts';
import { formatLsn, parseLsn, parseSegmentName, type Lsn } from './lsn.ts';
import { followBase, type Lineage, type ReplayPlan } from './plan.ts';
import { checkSegment, type CheckedSegment } from './segment-check.ts';
import { parseHistory, timelineAt } from './timeline.ts';
import { createWalReader } from './wal-reader.ts';

/** A chain of which everything counts, whoever signed it. */
export interface OpenChain {
  readonly repository: Repository;
  readonly chain: Chain;
}

/** What of a base and the log behind it can be signed. */
export interface Adoptable {
  /** Objects of the log and histories. */
  readonly stated: readonly Stated[];
  readonly segments: number;
  /** Where what is adopted ends. */
  readonly reaches: Lsn;
  /** What is missing there; null: it is the end of what is stored. */
  readonly hole: ReplayPlan['hole'];
}

/** How it is looked at. */
export interface AdoptionOptions extends Omit<ChainCheckOptions, 'storedTo'> {
  /** Log that was looked at before, with another base. */
  readonly known: ReadonlySet<ObjectKey>;
}

/** Segments that are read at the same time. */
const atOnce = 4;

/** Reads a chain as if nobody was asked who signed it. */
export async function openChain(
  repository: Repository,
  options: { readonly systemIdentifier: string; readonly signal: AbortSignal },
): Promise<OpenChain> {
  const open = { ...repository, signing: noSigning };
  return { repository: open, chain: await readChain(open, options) };
}

/** Looks at a base and the log behind it. @throws AppError `verify` for what is not as it should be. */
export async function examineForAdoption(base: BaseDocument, options: AdoptionOptions): Promise<Adoptable> {
  const { chain, identities } = options;
  const lineages = await readAllLineages({ ...options, identities: identities ?? [] });
  const plan = followBase(base, { wal: chain.wal, lineages });
  if (plan.reaches < parseLsn(base.endLsn))
    throw refusal(`the log behind it ends at ${formatLsn(plan.reaches)}, before the base does`);
  const names = new Set(plan.segments.map(({ segment }) => segment));
  const pieces = Map.groupBy(
    chain.wal.filter(({ segment }) => names.has(segment)),
    ({ segment }) => segment,
  );
  const timelines = new Set(plan.history.map(({ timeline }) => timeline));
  const histories = chain.histories.filter(({ timeline }) => timelines.has(timeline));
  const all = [...pieces.values()].flat();
  assertOpen(base, { pieces: all, histories, identities });
  const expected = base.tar.bytes + all.reduce((sum, { bytes }) => sum + bytes, 0);
  await readBase(base, { ...options, onProgress: (bytes) => options.onProgress(bytes, expected) });
  let done = base.tar.bytes;
  const onRead = (bytes: number): void => options.onProgress((done += bytes), expected);
  const isKnown = [...all, ...histories].every(({ key }) => options.known.has(key));
  const stated = isKnown ? [] : [...(await readLog(base, { plan, pieces, options, onRead }))];
  for (const history of histories) stated.push(await stateHistory(history, { plan, options }));
  return { stated, segments: plan.segments.length, reaches: plan.reaches, hole: plan.hole };
}

/** The timelines of a chain, all of them. @throws AppError `verify` where one history is not what it should be. */
export async function readAllLineages(options: HistoryOptions): Promise<readonly Lineage[]> {
  const { histories, problems } = await readHistories(options);
  const [problem] = problems;
  if (problem !== undefined) throw refusal(`'${problem.object}': ${problem.problem}`);
  return lineagesOf(histories);
}

function refusal(text: string, hint?: string): AppError {
  return new AppError('verify', text, {
    reason: 'damaged-object',
    hint: hint ?? 'See all that is wrong with: mastodon-backup pitr verify.',
  });
}

// The log is signed by what is in it, decoded: what cannot be opened cannot be signed.
function assertOpen(
  base: BaseDocument,
  {
    pieces,
    histories,
    identities,
  }: {
    readonly pieces: readonly StoredWal[];
    readonly histories: readonly StoredHistory[];
    readonly identities: readonly string[] | null;
  },
): void {
  const isSealed = base.tar.encryption !== null || [...pieces, ...histories].some(({ encrypted }) => encrypted);
  if (isSealed && identities === null)
    throw refusal(
      'it is encrypted, and of the log what is in it is signed',
      'Name the file with the private key with --identity.',
    );
}

interface Reading {
  readonly plan: ReplayPlan;
  readonly pieces: ReadonlyMap<string, readonly StoredWal[]>;
  readonly options: AdoptionOptions;
  readonly onRead: (objectBytes: number) => void;
}

async function readLog(base: BaseDocument, { plan, pieces, options, onRead }: Reading): Promise<readonly Stated[]> {
  const { systemIdentifier, segmentBytes } = base;
  const reader = createWalReader({
    systemIdentifier,
    segmentBytes,
    from: parseLsn(base.startLsn),
    timelineAt: (pageStart) => timelineAt(plan.history, pageStart),
  });
  const stated: Stated[] = [];
  for (let at = 0; at < plan.segments.length; at += atOnce) {
    const batch = plan.segments.slice(at, at + atOnce);
    const checked = await Promise.all(
      batch.map(async ({ segment }) => readStable(pieces.get(segment) ?? [], { ...options, segmentBytes })),
    );
    options.signal.throwIfAborted();
    for (const [index, one] of checked.entries()) {
      const { start = 0n, bytes = 0, tiles = [] } = batch[index] ?? {};
      if (one.content === null || one.bytes < bytes)
        throw refusal(`the segment ${one.segment} went while it was looked at`, 'Run it again.');
      try {
        const { timeline } = parseSegmentName(one.segment, { segmentBytes });
        reader.read(one.content, { start, bytes: one.bytes, timeline });
      } catch (error) {
        throw refusal(`'${tiles[0]?.key ?? one.segment}' is not the log of this server: ${describeError(error)}`);
      }
      stated.push(...one.stated);
      onRead(one.objectBytes);
    }
  }
  // A history alone would end the log where it says that another timeline begins.
  const [newest] = plan.history.slice(-1);
  const begins = plan.history.at(-2)?.end ?? 0n;
  if ((reader.last() ?? 0n) < begins)
    throw refusal(
      `there is a history of timeline ${newest?.timeline} and no log of it`,
      'If your server was never promoted to it, remove the history by hand; else run it again when its log is stored.',
    );
  return stated;
}

// What is signed is what was followed, and not what has come into its place since.
async function stateHistory(
  history: StoredHistory,
  { plan, options }: { readonly plan: ReplayPlan; readonly options: AdoptionOptions },
): Promise<Stated> {
  const content = await readHistory(history, { ...options, identities: options.identities ?? [] });
  const at = plan.history.findIndex(({ timeline }) => timeline === history.timeline);
  const followed = [...plan.history.slice(0, at), { timeline: history.timeline, end: null }];
  if (!isDeepStrictEqual(parseHistory(content.toString('utf8'), history.timeline), followed))
    throw refusal(`'${history.key}' says something else than the history of timeline ${plan.history.at(-1)?.timeline}`);
  return statedOf(history.key, content, options);
}

// The daemon stores on: parts go when their segment is whole.
async function readStable(
  pieces: readonly StoredWal[],
  options: AdoptionOptions & { readonly segmentBytes: number },
): Promise<CheckedSegment & { readonly stated: readonly Stated[] }> {
  const look = async (
    found: readonly StoredWal[],
  ): Promise<CheckedSegment & { readonly stated: readonly Stated[] }> => {
    const stated: Stated[] = [];
    const onPiece = (piece: StoredWal, content: Buffer): void =>
      void stated.push(statedOf(piece.key, content, options));
    return { ...(await checkSegment(found, { ...options, onPiece })), stated };
  };
  let one = await look(pieces);
  if (one.gone.length > 0) {
    const { repository, chain, signal } = options;
    const now = await readChain(repository, { systemIdentifier: chain.systemIdentifier, signal });
    one = await look(now.wal.filter(({ segment }) => segment === one.segment));
  }
  const [problem] = one.problems;
  if (problem !== undefined) throw refusal(`'${problem.object}': ${problem.problem}`);
  return one;
}

function statedOf(key: ObjectKey, content: Uint8Array, { repository }: OpenChain): Stated {
  return { key, statement: statementOf({ key, content }, repository) };
}
