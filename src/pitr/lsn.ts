// Positions in the write-ahead log and the names of its segments, as PostgreSQL counts and writes them (its documentation,
// "WAL Internals"). Off by one here is a hole in a chain that nobody sees before a restore.

/** A position in the write-ahead log, in bytes. */
export type Lsn = bigint;

/** Reads `0/3000028`. Throws for what is none. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match === null) throw new Error(`'${text}' is no position in the write-ahead log`);
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** Writes `0/3000028`. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();
}

/** Where the segment begins in which `lsn` is. */
export function segmentStart(lsn: Lsn, segmentBytes: number): Lsn {
  return lsn - (lsn % BigInt(segmentBytes));
}

/** The name of the segment in which `lsn` is. */
export function segmentName(lsn: Lsn, { timeline, segmentBytes }: SegmentFrame): string {
  const number = lsn / BigInt(segmentBytes);
  const perLog = 0x1_0000_0000n / BigInt(segmentBytes);
  return [BigInt(timeline), number / perLog, number % perLog].map(hex8).join('');
}

/** What the names of segments depend on. */
export interface SegmentFrame {
  readonly timeline: number;
  readonly segmentBytes: number;
}

/** The timeline in a segment's name, and where the segment begins. Throws for what is none. */
export function parseSegmentName(
  name: string,
  { segmentBytes }: Pick<SegmentFrame, 'segmentBytes'>,
): { readonly timeline: number; readonly start: Lsn } {
  if (!/^[0-9A-F]{24}$/.test(name)) throw new Error(`'${name}' is no segment of the write-ahead log`);
  const [timeline, log, segment] = [0, 8, 16].map((at) => BigInt(`0x${name.slice(at, at + 8)}`));
  const perLog = 0x1_0000_0000n / BigInt(segmentBytes);
  return {
    timeline: Number(timeline),
    start: ((log ?? 0n) * perLog + (segment ?? 0n)) * BigInt(segmentBytes),
  };
}

function hex8(value: bigint): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
