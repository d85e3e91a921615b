// The log of a plan as plain files that PostgreSQL's `restore_command` copies: decoded, held against its place and its server,
// and read record by record, until what is wanted is in it. Nothing is replayed that was not read here first.

import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { readAll } from '../snapshots/document-reading.ts';
import type { StoredWal } from '../snapshots/chain-catalogue.ts';
import type { Repository } from '../snapshots/repository.ts';
import { assertWalSigned } from '../snapshots/wal-signature.ts';
import type { ObjectKey } from '../storage/store.ts';
import { tileSegment, type SegmentTiles } from './coverage.ts';
import { decodeWhole } from './encoding.ts';
import { formatLsn, parseLsn, parseSegmentName, type Lsn } from './lsn.ts';
import { formatMicros, type Moment } from './moment.ts';
import { describeHole, type ReplayPlan } from './plan.ts';
import { createWalReader, type Commit } from './wal-reader.ts';

/** What was staged, and where replaying it must end. */
export interface StagedWal {
  /** How far a server gets that replays it to the moment. */
  readonly reaches: Lsn;
  /** The last transaction at or before the moment; null: there is none behind the base. */
  readonly lastMicros: bigint | null;
  readonly segments: number;
}

/** Segments that are read at the same time. */
const atOnce = 4;

/**
 * Stages into `directory` what the moment needs. @throws AppError `restore` when the moment is after the last transaction or a
 * hole is before it, with the newest moment that can be had; `verify` for what is damaged.
 */
export async function stageWal(
  plan: ReplayPlan,
  options: {
    readonly repository: Repository;
    readonly moment: Moment;
    readonly directory: string;
    readonly identities: readonly string[];
    /** Gives a new file to whoever runs the server. */
    readonly own: (file: string) => Promise<void>;
    readonly onProgress: (segments: number) => void;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<StagedWal> {
  const { base, segments } = plan;
  const { moment, directory, signal } = options;
  const { segmentBytes, systemIdentifier } = base;
  const endLsn = parseLsn(base.endLsn);
  const reader = createWalReader({ systemIdentifier, segmentBytes, from: parseLsn(base.startLsn) });
  let last: Commit | null = null;
  let count = 0;
  for (let at = 0; at < segments.length; at += atOnce) {
    const batch = segments.slice(at, at + atOnce);
    const read = await Promise.all(batch.map(async (one) => readSegment(one, { ...options, segmentBytes })));
    for (const [index, one] of batch.entries()) {
      const bytes = read[index];
      if (bytes === undefined) throw new Error('A segment was not read');
      signal.throwIfAborted();
      const commits = readRecords(reader, { bytes, one });
      const file = path.join(directory, one.segment);
      await writeFile(file, bytes, { mode: 0o600, flag: 'wx' });
      await options.own(file);
      count += 1;
      options.onProgress(count);
      const stop =
        moment.kind === 'latest'
          ? undefined
          : commits.find(({ micros, at: lsn }) => lsn >= endLsn && micros > moment.micros);
      last = (stop === undefined ? commits : commits.slice(0, commits.indexOf(stop))).at(-1) ?? last;
      if (stop !== undefined) return { reaches: stop.previousEnd, lastMicros: last?.micros ?? null, segments: count };
    }
  }
  const end = reader.end();
  if (end === null || end < endLsn)
    throw new AppError(
      'restore',
      `What is stored of the log ends at ${formatLsn(end ?? 0n)}, before the end of the base`,
      {
        hint: 'Look at it with: mastodon-backup pitr status.',
      },
    );
  if (moment.kind === 'latest' && plan.hole === null)
    return { reaches: end, lastMicros: last?.micros ?? null, segments: count };
  throw beyond(plan, { moment, last });
}

function beyond(
  { hole, base }: ReplayPlan,
  { moment, last }: { readonly moment: Moment; readonly last: Commit | null },
): AppError {
  const newest = last?.micros ?? BigInt(base.endedAt.getTime()) * 1000n;
  const wanted = moment.kind === 'latest' ? 'The newest moment' : formatMicros(moment.micros);
  if (hole !== null)
    return new AppError('restore', `${wanted} cannot be had: ${describeHole(hole)}`, {
      reason: 'damaged-object',
      hint: `Restore --at '${formatMicros(newest)}', the last moment before the hole, or a snapshot: mastodon-backup list.`,
    });
  return new AppError('restore', `${wanted} is after the last transaction that is stored, at ${formatMicros(newest)}`, {
    reason: 'not-found',
    hint: 'Restore --at latest, the newest moment that can be had.',
  });
}

function readRecords(
  reader: ReturnType<typeof createWalReader>,
  { bytes, one }: { readonly bytes: Buffer; readonly one: ReplayPlan['segments'][number] },
): readonly Commit[] {
  try {
    const { timeline } = parseSegmentName(one.segment, { segmentBytes: bytes.length });
    return reader.read(bytes, { start: one.start, bytes: one.bytes, timeline });
  } catch (error) {
    throw new AppError(
      'verify',
      `The stored segment ${one.segment} is not what it should be: ${describeError(error)}`,
      {
        cause: error,
        reason: 'damaged-object',
        hint: 'Restore a moment before it, or a snapshot: mastodon-backup list.',
      },
    );
  }
}

/** So many objects of a segment may be other than they should be; anybody may have put any number there. */
const mostRefused = 100;

/**
 * A segment as a file of full size: what is not stored of its end is empty. Put together anew without an object that is not what was
 * stored, where there are others in its place; where there are none, it is refused for the first of them.
 */
export async function readSegment(
  { segment, pieces, bytes: expected }: SegmentTiles,
  options: {
    readonly repository: Repository;
    readonly identities: readonly string[];
    readonly segmentBytes: number;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<Buffer> {
  const { segmentBytes, log, signal } = options;
  let joined: Buffer | undefined;
  const done = new Set<ObjectKey>();
  const refused = new Map<ObjectKey, Error>();
  for (;;) {
    const { tiles, bytes } = tileSegment(
      pieces.filter(({ key }) => !refused.has(key)),
      { segment, segmentBytes },
    );
    const [first] = refused.values();
    if (first !== undefined && (bytes < expected || refused.size > mostRefused)) throw first;
    if (tiles.length === 0 || bytes < expected) throw new Error(`${segment} cannot be put together of what is stored`);
    const next = tiles.find(({ key }) => !done.has(key));
    if (next === undefined) return (joined ??= Buffer.alloc(segmentBytes));
    try {
      const content = await readPiece(next, options);
      // A whole one stands alone.
      if (next.kind !== 'part') return content;
      content.copy((joined ??= Buffer.alloc(segmentBytes)), next.from);
      done.add(next.key);
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AppError && error.code === 'store' && error.reason !== undefined) throw error;
      log.warn({ key: next.key, err: error }, 'An object of the stored log counts for nothing');
      refused.set(next.key, error instanceof Error ? error : new Error(describeError(error)));
    }
  }
}

/** One stored object of the log, decoded. @throws AppError `store`, or `verify` with the reason `damaged-object`. */
export async function readPiece(
  piece: StoredWal,
  {
    repository,
    identities,
    segmentBytes,
    signal,
  }: {
    readonly repository: Repository;
    readonly identities: readonly string[];
    readonly segmentBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<Buffer> {
  // Not more than a segment that does not compress, with what encryption adds to it.
  const body = await repository.store.get(piece.key, { signal });
  const stored = await readAll(body, { maxBytes: segmentBytes + segmentBytes / 8 });
  const content = await decodeWhole(stored, {
    name: piece.key,
    form: piece,
    identities,
    bytes: piece.kind === 'part' ? piece.to - piece.from : segmentBytes,
    maxBytes: segmentBytes,
  });
  await assertWalSigned(repository, { key: piece.key, content, signal });
  return content;
}
