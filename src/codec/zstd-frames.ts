// A zstd stream taken apart into its frames (RFC 8878, 3.1), each of which is given to a decoder of its own: Node's ended after the
// first and lost the others without a word until its version 26.10 (its issue 64741). What the frames are made of is passed over and not
// held: of pieces that are almost nothing there may be any number.

/** The bytes are no whole row of zstd frames. */
export class ZstdError extends Error {
  override readonly name = 'ZstdError';
}

/** Some bytes of a frame, as they came. */
export interface FramePiece {
  readonly bytes: Buffer;
  readonly isLast: boolean;
}

/** So many bytes are passed over, so many are looked at, and they say what follows; null: the frame ends. */
interface Step {
  readonly skip: number;
  readonly take: number;
  readonly follow: (taken: Buffer) => Step | null;
}

const magic = 0xfd2fb528;
/** Of frames that have no content, without the last four bits. */
const skippableMagic = 0x184d2a5;
const blockHeaderBytes = 3;
const checksumBytes = 4;
/** Bytes of the dictionary's number, and of the content's size, by their flags. */
const dictionaryBytes = [0, 1, 2, 4] as const;
const sizeBytes = [0, 2, 4, 8] as const;
const repeatedByte = 1;
const reservedKind = 3;

/** Divides `source`. Throws ZstdError for what is no row of frames, and for an early end. */
export async function* divideZstd(source: AsyncIterable<Buffer>): AsyncGenerator<FramePiece> {
  const scanner = createScanner();
  let frames = 0;
  for await (const chunk of source)
    for (let at = 0; at < chunk.length;) {
      const { end, pieces, isOver } = scanner.scan(chunk, at);
      for (const bytes of pieces) yield { bytes, isLast: isOver && bytes === pieces.at(-1) };
      if (isOver) frames += 1;
      at = end;
    }
  if (frames === 0 || scanner.isInFrame()) throw new ZstdError('The zstd stream ends early');
}

/** A frame begins with its magic number. */
const startStep: Step = { skip: 0, take: 4, follow: start };

interface Scan {
  /** Where it ended in the chunk. */
  readonly end: number;
  readonly pieces: readonly Buffer[];
  readonly isOver: boolean;
}

function createScanner(): { scan(chunk: Buffer, from: number): Scan; isInFrame(): boolean } {
  const taken = Buffer.alloc(startStep.take);
  let step: Step = startStep;
  let skipped = 0;
  let filled = 0;
  // Of the frame that is scanned now; known when its start is.
  let hasContent = false;
  return {
    // Goes on to the end of the frame or of the chunk.
    scan(chunk, from) {
      const pieces: Buffer[] = [];
      let begin = from;
      const endAt = (end: number, isOver: boolean): Scan => {
        if (hasContent && step !== startStep && end > begin) pieces.push(chunk.subarray(begin, end));
        return { end, pieces, isOver };
      };
      for (let at = from; ;) {
        const passed = Math.min(step.skip - skipped, chunk.length - at);
        at += passed;
        skipped += passed;
        const copied = chunk.copy(taken, filled, at, at + Math.min(step.take - filled, chunk.length - at));
        at += copied;
        filled += copied;
        if (skipped < step.skip || filled < step.take) return endAt(at, false);
        const next = step.follow(taken.subarray(0, filled));
        if (step === startStep) {
          hasContent = !isSkippable(taken);
          // It may have come in two chunks.
          if (hasContent) pieces.push(Buffer.from(taken));
          begin = at;
        }
        skipped = 0;
        filled = 0;
        if (next === null) {
          const over = endAt(at, true);
          step = startStep;
          return over;
        }
        step = next;
      }
    },
    isInFrame: () => step !== startStep || filled > 0,
  };
}

function start(magicNumber: Buffer): Step {
  const number = magicNumber.readUInt32LE();
  if (isSkippable(magicNumber)) return { skip: 0, take: 4, follow: (size) => endStep(size.readUInt32LE()) };
  if (number !== magic) throw new ZstdError('The bytes are no zstd stream');
  return { skip: 0, take: 1, follow: ([flags = 0]) => headerStep(flags) };
}

function isSkippable(magicNumber: Buffer): boolean {
  return magicNumber.readUInt32LE() >>> 4 === skippableMagic;
}

function headerStep(flags: number): Step {
  const isSingleSegment = (flags & 0x20) !== 0;
  const dictionary = dictionaryBytes[(flags & 3) as 0 | 1 | 2 | 3];
  const size = sizeBytes[(flags >> 6) as 0 | 1 | 2 | 3];
  // A window where it is no single segment, and at least one byte of size where it is.
  const header = dictionary + (isSingleSegment ? Math.max(size, 1) : 1 + size);
  return blockStep(header, (flags & 4) === 0 ? 0 : checksumBytes);
}

function blockStep(skip: number, checksum: number): Step {
  return {
    skip,
    take: blockHeaderBytes,
    follow(header) {
      const value = header.readUIntLE(0, blockHeaderBytes);
      const kind = (value >> 1) & 3;
      if (kind === reservedKind) throw new ZstdError('A block of the zstd stream is of no known kind');
      const bytes = kind === repeatedByte ? 1 : value >> 3;
      return (value & 1) === 1 ? endStep(bytes + checksum) : blockStep(bytes, checksum);
    },
  };
}

function endStep(skip: number): Step {
  return { skip, take: 0, follow: () => null };
}
