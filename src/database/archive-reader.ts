// Reads pg_dump's custom format as it passes (pg_backup_archiver.c and pg_backup_custom.c, archive versions 1.14 to 1.16,
// PostgreSQL 12 to 18). It counts every table's rows without a second session on the database and knows whether the
// archive ends where its own table of contents says: `pg_restore --list` is content with a truncated one.

import { createByteQueue, type ByteQueue } from './archive-bytes.ts';
import { createCopyLineCounter, type CopyLineCounter } from './copy-lines.ts';
import { decoderOf, type DecodeText } from './text-encoding.ts';

/** What an archive holds. */
export interface ArchiveSummary {
  readonly databaseVersion: string;
  readonly dumpVersion: string;
  /** Exact number of rows in the dump by `schema.table`; identifiers with a dot or quote are quoted as in SQL. */
  readonly rows: Readonly<Record<string, number>>;
}

/** An entry of the table of contents. */
export interface ArchiveItem {
  /** Its number in the archive. */
  readonly dumpId: number;
  /** As pg_dump calls it, such as `TABLE`, `INDEX`, `FK CONSTRAINT`. */
  readonly kind: string;
  /** Empty for what is in no schema. */
  readonly schema: string;
  /** Of a constraint or trigger: the table, a space, its name. */
  readonly name: string;
  /** The role it belonged to; empty for what has none. */
  readonly owner: string;
  /** The statement that makes it; empty where there is none, as for data. */
  readonly definition: string;
  /** Numbers of what must be there before it. */
  readonly dependsOn: readonly number[];
  /** The statement that sets a sequence; null for every other kind. */
  readonly setval: string | null;
}

/** Takes an archive in chunks. */
export interface ArchiveReader {
  /** Throws `ArchiveError` when the bytes are no archive of a version it knows. */
  push(chunk: Buffer): void;
  /** Throws `ArchiveError` unless the archive is complete. */
  end(): ArchiveSummary;
}

/** Takes an archive in chunks for its table of contents alone; what follows it passes unread. */
export interface ContentsReader {
  /** Throws `ArchiveError` when the bytes are no archive of a version it knows. */
  push(chunk: Buffer): void;
  /** Throws `ArchiveError` when they ended before the table of contents did. */
  contents(): readonly ArchiveItem[];
  /** Whether the table of contents is whole. */
  isDone(): boolean;
}

/** The bytes are not a complete custom-format archive. */
export class ArchiveError extends Error {
  override readonly name = 'ArchiveError';
}

interface TocEntry extends ArchiveItem {
  readonly hasData: boolean;
}

const dataBlock = 1;
const blobsBlock = 3;
const customFormat = 1;
const oldestMinor = 14;
const newestMinor = 16;
// Far above any definition that somebody wrote, far below what a garbled length would ask for.
const maxStringBytes = 64 * 1024 * 1024;
/** All of it is held. That of Mastodon has less than half a MiB; that of 20,000 tables some 80 MiB. */
const maxContentsBytes = 128 * 1024 * 1024;

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
        throw new ArchiveError(`The archive ends inside its table of contents, after ${queue.position()} bytes`);
      }
      const missing = [...toc.entries.values()].filter((entry) => entry.hasData && !seen.has(entry.dumpId));
      if (!betweenBlocks || missing.length > 0) {
        const next = missing[0];
        throw new ArchiveError(
          `The archive ends early, after ${queue.position()} bytes` +
            (next === undefined
              ? ''
              : `; ${missing.length} entries are missing, first the data of ${qualifiedName(next)}`),
        );
      }
      return {
        databaseVersion: toc.databaseVersion,
        dumpVersion: toc.dumpVersion,
        rows: Object.fromEntries(Object.entries(rows).toSorted(([a], [b]) => (a < b ? -1 : 1))),
      };
    },
  };
}

/** A reader for the table of contents of one archive whose bytes are known to be the right ones. */
export function createContentsReader(): ContentsReader {
  const queue = createByteQueue();
  const parser = readToc(queue);
  let step = parser.next();
  return {
    push(chunk) {
      if (step.done === true) return;
      queue.push(chunk);
      step = parser.next();
    },
    isDone: () => step.done === true,
    contents() {
      if (step.done === true) return [...step.value.entries.values()];
      throw new ArchiveError(`The archive ends inside its table of contents, after ${queue.position()} bytes`);
    },
  };
}

type Steps<Result> = Generator<undefined, Result, undefined>;

interface Toc {
  readonly integerBytes: number;
  readonly databaseVersion: string;
  readonly dumpVersion: string;
  readonly entries: ReadonlyMap<number, TocEntry>;
}

// ReadHead and ReadToc of pg_backup_archiver.c.
function* readToc(queue: ByteQueue): Steps<Toc> {
  const magic = yield* bytes(queue, 5);
  if (magic.toString('latin1') !== 'PGDMP') throw new ArchiveError('The bytes are no pg_dump archive in custom format');
  const [major = 0, minor = 0, , integerBytes = 0, offsetBytes = 0, format = 0] = yield* bytes(queue, 6);
  if (major !== 1 || minor < oldestMinor || minor > newestMinor || format !== customFormat || integerBytes !== 4) {
    throw new ArchiveError(`Archive format ${major}.${minor} (kind ${format}) is not one this program reads`);
  }
  if (minor >= 15) yield* bytes(queue, 1);
  else yield* integer(queue, integerBytes);
  for (let field = 0; field < 7; field += 1) yield* integer(queue, integerBytes);
  yield* text(queue, { integerBytes });
  const databaseVersion = yield* text(queue, { integerBytes });
  const dumpVersion = yield* text(queue, { integerBytes });
  const count = yield* integer(queue, integerBytes);
  const entries = new Map<number, TocEntry>();
  let decode = decoderOf('UTF8');
  for (let index = 0; index < count; index += 1) {
    const entry = yield* readTocEntry(queue, { integerBytes, offsetBytes, minor, decode });
    entries.set(entry.dumpId, entry);
    if (queue.position() > maxContentsBytes)
      throw new ArchiveError(`The table of contents has more than ${maxContentsBytes / 1024 / 1024} MiB`);
    // Before every entry with a name.
    const [, encoding] = (entry.kind === 'ENCODING' && /client_encoding = '(.*)'/.exec(entry.definition)) || [];
    if (encoding !== undefined) decode = decoderOf(encoding);
  }
  return { integerBytes, databaseVersion: databaseVersion ?? '', dumpVersion: dumpVersion ?? '', entries };
}

function* readTocEntry(
  queue: ByteQueue,
  format: {
    readonly integerBytes: number;
    readonly offsetBytes: number;
    readonly minor: number;
    readonly decode: DecodeText;
  },
): Steps<TocEntry> {
  const { integerBytes, decode } = format;
  const dumpId = yield* integer(queue, integerBytes);
  const hasData = (yield* integer(queue, integerBytes)) !== 0;
  yield* text(queue, { integerBytes }); // table oid
  yield* text(queue, { integerBytes }); // oid
  const name = yield* text(queue, { integerBytes, decode });
  const kind = yield* text(queue, { integerBytes, decode });
  yield* integer(queue, integerBytes); // section
  const definition = yield* text(queue, { integerBytes, decode });
  yield* text(queue, { integerBytes }); // drop statement
  yield* text(queue, { integerBytes }); // copy statement
  const schema = yield* text(queue, { integerBytes, decode });
  yield* text(queue, { integerBytes }); // tablespace
  yield* text(queue, { integerBytes }); // table access method
  if (format.minor >= 16) yield* integer(queue, integerBytes); // relkind
  const owner = yield* text(queue, { integerBytes, decode });
  yield* text(queue, { integerBytes }); // with oids
  const dependsOn = new Set<number>();
  for (;;) {
    const dependency = yield* text(queue, { integerBytes });
    if (dependency === null) break;
    dependsOn.add(Number(dependency));
  }
  yield* bytes(queue, 1 + format.offsetBytes);
  return {
    dumpId,
    hasData,
    schema: schema ?? '',
    name: name ?? '',
    kind: kind ?? '',
    owner: owner ?? '',
    definition: definition ?? '',
    dependsOn: [...dependsOn],
    setval: kind === 'SEQUENCE SET' ? definition : null,
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

function* bytes(queue: ByteQueue, count: number): Steps<Buffer> {
  for (;;) {
    const taken = queue.take(count);
    if (taken !== undefined) return taken;
    yield;
  }
}

// WriteInt: a sign byte, then the magnitude, least significant byte first.
function* integer(queue: ByteQueue, integerBytes: number): Steps<number> {
  const raw = yield* bytes(queue, 1 + integerBytes);
  const magnitude = raw.readUInt32LE(1);
  return raw[0] === 0 ? magnitude : -magnitude;
}

// WriteStr: a length, -1 for NULL, then the bytes.
function* text(
  queue: ByteQueue,
  { integerBytes, decode = decoderOf('UTF8') }: { readonly integerBytes: number; readonly decode?: DecodeText },
): Steps<string | null> {
  const length = yield* integer(queue, integerBytes);
  if (length < 0) return null;
  if (length > maxStringBytes) throw new ArchiveError(`String of ${length} bytes before byte ${queue.position()}`);
  return decode(yield* bytes(queue, length));
}

/** `schema.table`, as manifests name a table. */
export function qualifiedName(entry: Pick<ArchiveItem, 'schema' | 'name'>): string {
  const quoted = (name: string): string => (/[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);
  return entry.schema === '' ? quoted(entry.name) : `${quoted(entry.schema)}.${quoted(entry.name)}`;
}
