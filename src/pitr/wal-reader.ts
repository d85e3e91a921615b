// Reads the log as PostgreSQL will: pages, records, and the moments of commits in them (src/include/access/xlog_internal.h and
// xlogrecord.h). A server that replays takes the first thing it cannot read for the end of the log and says nothing; here it
// is known beforehand where the end is, and what stands before it.

import { formatLsn, type Lsn } from './lsn.ts';
import { postgresEpochMs } from './wal-stream.ts';

/** The end of a transaction. */
export interface Commit {
  /** Where its record begins. */
  readonly at: Lsn;
  /** Where the record before it ends: a server that stops before it has come so far. */
  readonly previousEnd: Lsn;
  /** Its moment, in microseconds since 1970. */
  readonly micros: bigint;
}

/** A reader; it is given the log from one segment's start to the next. */
export interface WalReader {
  /**
   * Reads the first `bytes` bytes of a segment that begins at `start`. Answers the ends of transactions in it.
   * Throws for what is not the log of this server at this place.
   */
  read(
    segment: Buffer,
    place: {
      readonly start: Lsn;
      readonly bytes: number;
      /** Whose it is by its name; its first pages may be of an older one. */
      readonly timeline: number;
    },
  ): readonly Commit[];
  /** Where the last whole record ends; null: none was seen. */
  end(): Lsn | null;
  /** Where the last whole record begins; null: none was seen. */
  last(): Lsn | null;
}

const pageBytes = 8192;
const shortHeader = 24;
const longHeader = 40;
const firstIsContinued = 0x0001;
const hasLongHeader = 0x0002;
const continuedWasOverwritten = 0x0008;
const recordHeader = 24;
/** What is kept of a record: its header, and the beginning of its data, where the moment of a commit is. */
const keptBytes = 96;
const resourceXlog = 0;
const resourceTransaction = 1;
const switchRecord = 0x40;
/** COMMIT, ABORT, COMMIT_PREPARED, ABORT_PREPARED. */
const transactionEnds: ReadonlySet<number> = new Set([0x00, 0x20, 0x30, 0x40]);

interface Open {
  readonly start: Lsn;
  readonly total: number;
  readonly kept: Buffer;
  filled: number;
}

/** A reader for the log of one server; records before `from` are passed over. */
export function createWalReader({
  systemIdentifier,
  segmentBytes,
  from,
  timelineAt,
}: {
  readonly systemIdentifier: string;
  readonly segmentBytes: number;
  readonly from: Lsn;
  /** Of which timeline a page has to be that begins at a position; left out: of whichever its segment may have. */
  readonly timelineAt?: (pageStart: Lsn) => number;
}): WalReader {
  let open: Open | null = null;
  let previous: Lsn | null = null;
  let lastEnd: Lsn | null = null;
  /** Bytes of a record that began before what we were given. */
  let foreignLeft = 0;
  let isFirstPage = true;
  let expected: Lsn | null = null;
  let lastTimeline = 0;

  function closeRecord(record: Open, end: Lsn, commits: Commit[]): void {
    const prev = record.kept.readBigUInt64LE(8);
    if (previous !== null && prev !== previous)
      throw new Error(`the record at ${formatLsn(record.start)} does not follow the one at ${formatLsn(previous)}`);
    const info = record.kept[16] ?? 0;
    const resource = record.kept[17] ?? 0;
    if (resource === resourceTransaction && transactionEnds.has(info & 0x70)) {
      const micros = momentOf(record);
      if (micros !== null) commits.push({ at: record.start, previousEnd: lastEnd ?? record.start, micros });
    }
    previous = record.start;
    lastEnd = end;
  }

  return {
    read(segment, { start, bytes, timeline }) {
      if (expected !== null && start !== expected)
        throw new Error(`the log goes on at ${formatLsn(start)} instead of ${formatLsn(expected)}`);
      expected = start + BigInt(segmentBytes);
      const commits: Commit[] = [];
      for (let page = 0; page + shortHeader <= bytes; page += pageBytes) {
        const pageStart = start + BigInt(page);
        const info = segment.readUInt16LE(page + 2);
        if (isEmpty(segment, page)) {
          // The rest after a switch, or the end.
          if (open !== null) throw new Error(`the record at ${formatLsn(open.start)} breaks off`);
          continue;
        }
        if (segment.readBigUInt64LE(page + 8) !== pageStart)
          throw new Error(`the page at ${formatLsn(pageStart)} is of another place`);
        const isLong = (info & hasLongHeader) !== 0;
        if (page === 0 && (!isLong || segment.readBigUInt64LE(24).toString() !== systemIdentifier))
          throw new Error(`the segment at ${formatLsn(start)} is of another server`);
        // A log goes on from an older timeline to a newer one, never back.
        const own = segment.readUInt32LE(page + 4);
        if (own < lastTimeline || own > timeline)
          throw new Error(
            `the page at ${formatLsn(pageStart)} is of timeline ${own}, ${own > timeline ? `in a segment of ${timeline}` : `after one of ${lastTimeline}`}`,
          );
        const followed = timelineAt?.(pageStart) ?? own;
        if (own !== followed)
          throw new Error(`the page at ${formatLsn(pageStart)} is of timeline ${own}, where ${followed} is followed`);
        lastTimeline = own;
        const remaining = segment.readUInt32LE(page + 16);
        const isContinued = (info & firstIsContinued) !== 0;
        if ((info & continuedWasOverwritten) !== 0) open = null;
        else if (open !== null && (!isContinued || remaining !== open.total - open.filled))
          throw new Error(`the record at ${formatLsn(open.start)} does not go on at ${formatLsn(pageStart)}`);
        else if (open === null && isContinued && foreignLeft === 0) {
          if (!isFirstPage) throw new Error(`a record goes on at ${formatLsn(pageStart)} that nothing began`);
          foreignLeft = remaining;
        }
        isFirstPage = false;
        let at = page + (isLong ? longHeader : shortHeader);
        const pageEnd = Math.min(page + pageBytes, bytes);
        while (at < pageEnd) {
          if (foreignLeft > 0) {
            const taken = Math.min(foreignLeft, page + pageBytes - at);
            foreignLeft -= taken;
            at = foreignLeft === 0 ? align(at + taken) : at + taken;
            continue;
          }
          if (open === null) {
            if (pageEnd - at < 4) break;
            const total = segment.readUInt32LE(at);
            if (total === 0) break;
            if (total < recordHeader)
              throw new Error(`the record at ${formatLsn(start + BigInt(at))} is too short to be one`);
            open = { start: start + BigInt(at), total, kept: Buffer.alloc(keptBytes), filled: 0 };
          }
          const record: Open = open;
          const taken = Math.min(record.total - record.filled, pageEnd - at);
          if (record.filled < keptBytes)
            segment.copy(record.kept, record.filled, at, at + Math.min(taken, keptBytes - record.filled));
          record.filled += taken;
          at += taken;
          if (record.filled < record.total) break;
          open = null;
          at = align(at);
          const isSwitch = record.kept[17] === resourceXlog && ((record.kept[16] ?? 0) & 0xf0) === switchRecord;
          const end = isSwitch ? start + BigInt(segmentBytes) : start + BigInt(at);
          if (record.start >= from) closeRecord(record, end, commits);
          if (isSwitch) return commits;
        }
      }
      return commits;
    },
    end: () => lastEnd,
    last: () => previous,
  };
}

function align(at: number): number {
  return Math.ceil(at / 8) * 8;
}

function isEmpty(segment: Buffer, page: number): boolean {
  return segment.readUInt16LE(page) === 0 && segment.readBigUInt64LE(page + 8) === 0n;
}

// The main data comes last of the headers, and with no block of a page before it the moment is the first of its bytes.
function momentOf({ kept, total }: Open): bigint | null {
  for (let at = recordHeader; at < Math.min(total, kept.length - 13);) {
    const block = kept[at];
    // The transaction's origin, and the one it is part of, come before it.
    if (block === 253) at += 3;
    else if (block === 252) at += 5;
    else if (block === 255) return toMicros(kept.readBigInt64LE(at + 2));
    else if (block === 254) return toMicros(kept.readBigInt64LE(at + 5));
    else return null;
  }
  return null;
}

function toMicros(sincePostgresEpoch: bigint): bigint {
  return sincePostgresEpoch + BigInt(postgresEpochMs) * 1000n;
}
