// Reads pg_dump's custom format as it passes (pg_backup_archiver.c and pg_backup_custom.c, archive versions 1.14 to 1.16,
// PostgreSQL 12 to 18). It counts every table's rows without a second session on the database and knows whether the
// archive ends where its own table of contents says: `pg_restore --list` is content with a truncated one.

import { plural } from '../text/table.ts';
import { createByteQueue, type ByteQueue } from './archive-bytes.ts';
import { qualifiedName, readToc, type Toc } from './archive-contents.ts';
import { ArchiveError, bytes, integer, type Steps } from './archive-grammar.ts';
import { createCopyLineCounter, type CopyLineCounter } from './copy-lines.ts';

/** What an archive holds. */
export interface ArchiveSummary {
  /** Exact number of rows in the dump by `schema.table`; identifiers with a dot or quote are quoted as in SQL. */
  readonly rows: Readonly<Record<string, number>>;
}

/** Takes an archive in chunks. */
export interface ArchiveReader {
  /** Throws `ArchiveError` when the bytes are no archive of a version it knows. */
  push(chunk: Buffer): void;
  /** Throws `ArchiveError` unless the archive is complete. */
  end(): ArchiveSummary;
}

const dataBlock = 1;
const blobsBlock = 3;
/** A reader for one archive. */
export function createArchiveReader(): ArchiveReader {
  const queue = createByteQueue();
  const rows: Record<string, number> = {};
  const seen = new Set<number>();
  let toc: Toc | undefined;
  let betweenBlocks = false;

  // The format is read as plain sequential code; every `yield` waits for more bytes.
  function* parse(): Steps<void> {
    toc = yield* readToc(queue);
    for (;;) {
      betweenBlocks = true;
      while (queue.available() === 0) yield;
      betweenBlocks = false;
      yield* readBlock(toc);
    }
  }

  function* readBlock({ integerBytes, entries }: Toc): Steps<void> {
    const at = queue.position();
    const kind = (yield* bytes(queue, 1))[0];
    const dumpId = yield* integer(queue, integerBytes);
    const entry = entries.get(dumpId);
    if (entry === undefined || seen.has(dumpId)) {
      throw new ArchiveError(`Block at byte ${at} belongs to no entry of the table of contents`);
    }
    seen.add(dumpId);
    if (kind === dataBlock) {
      const counter = entry.kind === 'TABLE DATA' ? createCopyLineCounter() : undefined;
      yield* readChunks(queue, { integerBytes, counter });
      if (counter === undefined) return;
      const table = qualifiedName(entry);
      if (!counter.ended()) throw new ArchiveError(`The data of ${table} has no end-of-data line`);
      rows[table] = (rows[table] ?? 0) + counter.rows();
    } else if (kind === blobsBlock) {
      while ((yield* integer(queue, integerBytes)) !== 0)
        yield* readChunks(queue, { integerBytes, counter: undefined });
    } else {
      throw new ArchiveError(`Unknown block type ${kind} at byte ${at}`);
    }
  }

  const parser = parse();
  parser.next();
  return {
    push(chunk) {
      queue.push(chunk);
      parser.next();
    },
    end() {
      if (toc === undefined) {
        throw new ArchiveError(
          `The archive ends inside its table of contents, after ${plural(queue.position(), 'byte')}`,
        );
      }
      const missing = [...toc.entries.values()].filter((entry) => entry.hasData && !seen.has(entry.dumpId));
      if (!betweenBlocks || missing.length > 0) {
        const next = missing[0];
        throw new ArchiveError(
          `The archive ends early, after ${plural(queue.position(), 'byte')}` +
            (next === undefined
              ? ''
              : `; ${plural(missing.length, 'entry is missing', 'entries are missing')}, first the data of ${qualifiedName(next)}`),
        );
      }
      return { rows: Object.fromEntries(Object.entries(rows).toSorted(([a], [b]) => (a < b ? -1 : 1))) };
    },
  };
}

function* readChunks(
  queue: ByteQueue,
  options: { readonly integerBytes: number; readonly counter: CopyLineCounter | undefined },
): Steps<void> {
  for (;;) {
    let left = yield* integer(queue, options.integerBytes);
    if (left === 0) return;
    if (left < 0) throw new ArchiveError(`Negative length before byte ${queue.position()}`);
    while (left > 0) {
      const piece = queue.takeSome(left);
      if (piece === undefined) {
        yield;
        continue;
      }
      options.counter?.push(piece);
      left -= piece.length;
    }
  }
}
