// Everything that is stored of a server, read to its last byte: bases against their documents and the server's own manifest, the log
// object by object and record by record, and what is missing between. PostgreSQL takes the first thing it cannot read for the
// end and says nothing; who does not look beforehand learns of it when a moment is needed.

import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readChain, type Chain, type StoredWal } from '../snapshots/chain-catalogue.ts';
import { baseDocumentKey } from '../snapshots/chain-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { ReadPatience } from '../storage/patient-reader.ts';
import { readBase } from './base-reader.ts';
import { coverage, type WalRange } from './coverage.ts';
import { lineagesOf, readHistories } from './histories.ts';
import { formatLsn, parseSegmentName, segmentName, type Lsn, type SegmentFrame } from './lsn.ts';
import { isOfTheStore, type ObjectProblem } from './object-problem.ts';
import { describeHole, type Lineage } from './plan.ts';
import { checkSegment, type CheckedSegment } from './segment-check.ts';
import { createWalReader, type WalReader } from './wal-reader.ts';
import { windowOf } from './window.ts';

/** What was found of a chain. */
export interface CheckedChain {
  readonly systemIdentifier: string;
  /** Bases that were read, the newest first. */
  readonly bases: readonly string[];
  readonly segments: number;
  /** Objects and bytes that were read. */
  readonly objects: number;
  readonly bytes: number;
  /** False where something is encrypted and no identity was at hand: read, and as far as there is a hash hashed, but not decoded. */
  readonly decoded: boolean;
  /** What is not what it should be. */
  readonly problems: readonly ObjectProblem[];
  /** What is missing, a line each. */
  readonly gaps: readonly string[];
  /** What counts for nothing and is left alone. */
  readonly notes: readonly string[];
}

/** How it is looked at. */
export interface ChainCheckOptions {
  readonly repository: Repository;
  readonly chain: Chain;
  /** Null: none is at hand. */
  readonly identities: readonly string[] | null;
  readonly threads: number;
  /** How far the log must be stored at least, as it is remembered; null: nothing is remembered. */
  readonly storedTo: { readonly timeline: number; readonly lsn: Lsn } | null;
  readonly patience?: ReadPatience | undefined;
  readonly onProgress: (bytes: number, expectedBytes: number) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Segments that are read at the same time. */
const atOnce = 4;
/** Of every server whose bases do not say another. */
const usualSegmentBytes = 16 * 1024 * 1024;

/** Looks at all of it. Rejects only with the reason of `signal`, and where the store cannot be asked. */
export async function checkChain(options: ChainCheckOptions): Promise<CheckedChain> {
  const { repository, chain, identities, signal } = options;
  const segmentBytes = chain.bases[0]?.segmentBytes ?? usualSegmentBytes;
  const problems: ObjectProblem[] = [];
  let bytes = 0;
  const progress = (more: number): void => {
    bytes += more;
    options.onProgress(bytes, chain.bytes);
  };
  for (const base of chain.bases) {
    const before = bytes;
    const found = await problemOf(async () =>
      readBase(base, {
        ...options,
        onProgress: (objectBytes) => options.onProgress(before + objectBytes, chain.bytes),
      }),
    );
    signal.throwIfAborted();
    progress(base.tar.bytes);
    if (found !== null)
      problems.push({ object: baseDocumentKey({ prefix: repository.prefix, ...chain }, base.id), problem: found });
  }
  for (const { id, reason } of [...chain.damaged, ...chain.unreadable])
    problems.push({ object: baseDocumentKey({ prefix: repository.prefix, ...chain }, id), problem: reason });
  const timelines = await readHistories({ ...options, identities: identities ?? [] });
  problems.push(...timelines.problems);
  const log = await checkLog(options, { segmentBytes, progress });
  return {
    systemIdentifier: chain.systemIdentifier,
    bases: chain.bases.map(({ id }) => id),
    segments: log.segments,
    objects: chain.bases.length + chain.wal.length + chain.histories.length,
    bytes,
    decoded: identities !== null || ![...chain.wal, ...chain.histories].some(({ encrypted }) => encrypted),
    problems: [...problems, ...log.problems],
    gaps: gapsOf(options, { segmentBytes, lineages: lineagesOf(timelines.histories) }),
    notes: [
      ...chain.unsigned.map(({ document }) => `base ${document.id} is not signed by anybody trusted here`),
      ...[...chain.unsignedWal, ...chain.unsignedHistories].map(
        ({ key }) => `'${key}' has no signature, and counts for nothing`,
      ),
      ...chain.orphans.map(({ key }) => `'${key}' has no document: an interrupted base backup left it behind`),
      ...chain.foreign.map(({ key }) => `'${key}' is not of this program, and is never touched`),
    ],
  };
}

async function problemOf(work: () => Promise<unknown>): Promise<string | null> {
  try {
    await work();
    return null;
  } catch (error) {
    if (isOfTheStore(error)) throw error;
    return describeError(error);
  }
}

async function checkLog(
  options: ChainCheckOptions,
  { segmentBytes, progress }: { readonly segmentBytes: number; readonly progress: (bytes: number) => void },
): Promise<{ readonly segments: number; readonly problems: readonly ObjectProblem[] }> {
  const { chain, signal } = options;
  const problems: ObjectProblem[] = [];
  // Their names sort as they follow each other, one timeline after the other.
  const segments = [...Map.groupBy(chain.wal, ({ segment }) => segment)].toSorted(([a], [b]) => (a < b ? -1 : 1));
  const records = createRecordCheck(chain, segmentBytes);
  const gone: StoredWal[] = [];
  for (let at = 0; at < segments.length; at += atOnce) {
    const batch = segments.slice(at, at + atOnce);
    const checked = await Promise.all(
      batch.map(async ([, pieces]) => checkSegment(pieces, { ...options, segmentBytes })),
    );
    signal.throwIfAborted();
    for (const one of checked) {
      progress(one.objectBytes);
      problems.push(...one.problems);
      gone.push(...one.gone);
      const text = one.problems.length + one.gone.length > 0 ? records.skip() : records.read(one);
      if (text !== null) problems.push({ object: wholeOf(chain, one.segment), problem: text });
    }
  }
  return { segments: segments.length, problems: [...problems, ...(await lostOf(options, gone))] };
}

function wholeOf({ wal }: Chain, segment: string): ObjectProblem['object'] {
  const own = wal.filter((piece) => piece.segment === segment);
  const found = own.find(({ kind }) => kind === 'segment') ?? own[0];
  if (found === undefined) throw new Error(`Nothing is stored of ${segment}`);
  return found.key;
}

// Reads the records of segments that follow each other; behind a hole, and behind what is damaged, it begins anew.
function createRecordCheck(
  { systemIdentifier }: Chain,
  segmentBytes: number,
): { readonly read: (one: CheckedSegment) => string | null; readonly skip: () => null } {
  let reader: WalReader | null = null;
  let expected: string | null = null;
  return {
    read({ segment, content, bytes }) {
      if (content === null || bytes === 0) {
        reader = null;
        return null;
      }
      const { timeline, start } = parseSegmentName(segment, { segmentBytes });
      if (segment !== expected) reader = null;
      reader ??= createWalReader({ systemIdentifier, segmentBytes, from: start });
      expected = bytes < segmentBytes ? null : segmentName(start + BigInt(segmentBytes), { timeline, segmentBytes });
      try {
        reader.read(content, { start, bytes, timeline });
        return null;
      } catch (error) {
        reader = null;
        return describeError(error);
      }
    },
    skip() {
      reader = null;
      return null;
    },
  };
}

// What went while it was looked at: parts of what is whole by now, and what retention took. The rest is lost.
async function lostOf(
  { repository, chain, signal }: ChainCheckOptions,
  gone: readonly StoredWal[],
): Promise<readonly ObjectProblem[]> {
  if (gone.length === 0) return [];
  const now = await readChain(repository, { systemIdentifier: chain.systemIdentifier, signal });
  const begin = now.bases.map(({ startSegment }) => startSegment.slice(8)).toSorted()[0] ?? '';
  return gone
    .filter(({ segment }) => segment.slice(8) >= begin)
    .filter(({ segment, kind }) => kind === 'segment' || !now.wal.some((one) => one.segment === segment))
    .map(({ key }) => ({ object: key, problem: 'it went while it was looked at' }));
}

function gapsOf(
  { chain, storedTo }: ChainCheckOptions,
  { segmentBytes, lineages }: { readonly segmentBytes: number; readonly lineages: readonly Lineage[] },
): readonly string[] {
  const gaps = new Map<string, string>();
  for (const timeline of new Set(chain.wal.map(({ segment }) => Number.parseInt(segment.slice(0, 8), 16)))) {
    const ranges = coverage(chain.wal, { timeline, segmentBytes });
    for (const [index, range] of ranges.entries()) {
      const next = ranges[index + 1];
      const to = next?.from ?? (storedTo?.timeline === timeline ? storedTo.lsn : range.to);
      if (to <= range.to) continue;
      const hole = { from: range.to, to };
      gaps.set(describeHole(hole), `${describeHole(hole)}: ${segmentsOf(hole, { timeline, segmentBytes })}`);
    }
  }
  if (storedTo !== null && chain.wal.length === 0)
    gaps.set('all', `nothing is stored of the log, which was stored up to ${formatLsn(storedTo.lsn)}`);
  for (const gap of windowOf(chain, { lineages }).gaps) if (!gaps.has(gap)) gaps.set(gap, gap);
  return [...gaps.values()];
}

function segmentsOf({ from, to }: WalRange, frame: SegmentFrame): string {
  const first = segmentName(from, frame);
  const last = segmentName(to - 1n, frame);
  return first === last ? `of segment ${first}` : `segments ${first} to ${last}`;
}
