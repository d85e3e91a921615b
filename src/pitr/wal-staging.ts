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

/** A segment as a file of full size: what is not stored of its end is empty. */
export async function readSegment(
  { tiles, bytes: expected }: Pick<ReplayPlan['segments'][number], 'tiles' | 'bytes'>,
  options: {
    readonly repository: Repository;
    readonly identities: readonly string[];
    readonly segmentBytes: number;
    readonly signal: AbortSignal;
  },
): Promise<Buffer> {
  const { segmentBytes } = options;
  const whole = Buffer.alloc(segmentBytes);
  for (const tile of tiles) {
    const from = tile.kind === 'part' ? tile.from : 0;
    const to = tile.kind === 'part' ? tile.to : segmentBytes;
    const bytes = await readPiece(tile, { ...options, bytes: to - from });
    bytes.copy(whole, from);
  }
  if (tiles.length === 0 || expected > segmentBytes) throw new Error('A segment without tiles cannot be read');
  return whole;
}

/** One stored object of the log, decoded. @throws AppError `store`, or `verify` with the reason `damaged-object`. */
export async function readPiece(
  piece: StoredWal,
  {
    repository,
    identities,
    segmentBytes,
    bytes,
    signal,
  }: {
    readonly repository: Repository;
    readonly identities: readonly string[];
    readonly segmentBytes: number;
    readonly bytes: number;
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
    bytes,
    maxBytes: segmentBytes,
  });
  await assertWalSigned(repository, { key: piece.key, content, signal });
  return content;
}
