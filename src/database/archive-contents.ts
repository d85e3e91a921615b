// The table of contents of pg_dump's custom format: what is in an archive, under which names and in which order it can be made again.

import { plural } from '../text/table.ts';
import { createByteQueue, type ByteQueue } from './archive-bytes.ts';
import { ArchiveError, bytes, integer, text, type Steps } from './archive-grammar.ts';
import { decoderOf, type DecodeText } from './text-encoding.ts';

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

/** A name without the quotes that pg_dump gives one where it must: in statements, and in what a comment or rights belong to. */
export function unquoted(name: string): string {
  return name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name;
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

interface TocEntry extends ArchiveItem {
  readonly hasData: boolean;
}

const customFormat = 1;
const oldestMinor = 14;
const newestMinor = 16;
/** All of it is held. That of Mastodon has less than half a MiB; that of 20,000 tables some 80 MiB. */
const maxContentsBytes = 128 * 1024 * 1024;

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
      throw new ArchiveError(
        `The archive ends inside its table of contents, after ${plural(queue.position(), 'byte')}`,
      );
    },
  };
}

/** What stands before the data. */
export interface Toc {
  readonly integerBytes: number;
  readonly entries: ReadonlyMap<number, TocEntry>;
}

/** Reads it: ReadHead and ReadToc of pg_backup_archiver.c. */
export function* readToc(queue: ByteQueue): Steps<Toc> {
  const magic = yield* bytes(queue, 5);
  if (magic.toString('latin1') !== 'PGDMP') throw new ArchiveError('The bytes are no pg_dump archive in custom format');
  const [major = 0, minor = 0, , integerBytes = 0, offsetBytes = 0, format = 0] = yield* bytes(queue, 6);
  if (major !== 1 || minor < oldestMinor || minor > newestMinor || format !== customFormat || integerBytes !== 4) {
    throw new ArchiveError(`Archive format ${major}.${minor} (kind ${format}) is not one this program reads`);
  }
  if (minor >= 15) yield* bytes(queue, 1);
  else yield* integer(queue, integerBytes);
  for (let field = 0; field < 7; field += 1) yield* integer(queue, integerBytes);
  yield* text(queue, { integerBytes }); // name of the database
  yield* text(queue, { integerBytes }); // version of the server
  yield* text(queue, { integerBytes }); // version of pg_dump
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
  return { integerBytes, entries };
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

/** `schema.table`, as manifests name a table. */
export function qualifiedName(entry: Pick<ArchiveItem, 'schema' | 'name'>): string {
  const quoted = (name: string): string => (/[."]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name);
  return entry.schema === '' ? quoted(entry.name) : `${quoted(entry.schema)}.${quoted(entry.name)}`;
}
