// PostgreSQL's own list of what is in a base backup, with a sum of every file (its documentation, "Backup Manifest Format").
// It is made by the server as it reads, so that what was lost or changed on the way to the bucket and back shows.

import { createHash, type Hash } from 'node:crypto';
import * as v from 'valibot';
import { createTarReader, type TarMember } from '../codec/tar.ts';
import { plural } from '../text/table.ts';
import { parseLsn, type Lsn } from './lsn.ts';

/** What a base backup's manifest is called in the tar, where it is the last member. */
export const manifestName = 'backup_manifest';

const controlName = 'global/pg_control';
const identifierBytes = 8;

const schema = v.looseObject({
  Files: v.array(
    v.looseObject({
      Path: v.optional(v.string()),
      'Encoded-Path': v.optional(v.string()),
      Size: v.number(),
      'Checksum-Algorithm': v.optional(v.string()),
      Checksum: v.optional(v.string()),
    }),
  ),
  'WAL-Ranges': v.array(v.looseObject({ Timeline: v.number(), 'Start-LSN': v.string(), 'End-LSN': v.string() })),
  'Manifest-Checksum': v.string(),
});

/** The largest manifest that is read; one file takes some 150 bytes in it. */
const maxManifestBytes = 512 * 1024 * 1024;

interface Seen {
  readonly bytes: number;
  readonly sha256: string;
}

/** Looks at a tar as it passes; `end` throws when it is not exactly what the manifest in it says. */
export function createBaseInspector(): { push(chunk: Buffer): void; end(): BaseContents } {
  const tar = createTarReader();
  const seen = new Map<string, Seen>();
  const manifest: Buffer[] = [];
  let manifestBytes = 0;
  let control = Buffer.alloc(0);
  let hash: Hash | undefined;
  let last: TarMember | undefined;
  return {
    push(chunk) {
      for (const event of tar.push(chunk)) {
        switch (event.kind) {
          case 'member':
            last = event.member;
            hash = createHash('sha256');
            break;
          case 'data':
            if (event.member.name === manifestName) {
              manifestBytes += event.chunk.length;
              if (manifestBytes > maxManifestBytes) throw new Error('the backup manifest is too large to be one');
              manifest.push(Buffer.from(event.chunk));
              break;
            }
            hash?.update(event.chunk);
            if (event.member.name === controlName && control.length < identifierBytes)
              control = Buffer.concat([control, event.chunk.subarray(0, identifierBytes - control.length)]);
            break;
          case 'end': {
            const { name, kind, bytes } = event.member;
            if (seen.has(name)) throw new Error(`the tar has ${name} twice`);
            if (kind === 'link') throw new Error(`the tar has a link, ${name}: more than one tablespace`);
            if (kind === 'file' && name !== manifestName) seen.set(name, { bytes, sha256: hash?.digest('hex') ?? '' });
            break;
          }
          case 'padding':
            break;
          default:
            event satisfies never;
        }
      }
    },
    end() {
      tar.finish('end');
      if (last?.name !== manifestName) throw new Error('the tar does not end with its backup manifest');
      return { ...compare(Buffer.concat(manifest), seen), systemIdentifier: identifierIn(control) };
    },
  };
}

/** What a whole base backup holds. */
export interface BaseContents {
  readonly files: number;
  readonly fileBytes: number;
  /** Of the server whose data directory it is, by its own control file; null: there is none in it. */
  readonly systemIdentifier: string | null;
  /** The log without which it is no database, by the server's own manifest. */
  readonly log: { readonly timelines: readonly number[]; readonly startLsn: Lsn; readonly endLsn: Lsn };
}

// The first that is in it (src/include/catalog/pg_control.h).
function identifierIn(control: Buffer): string | null {
  return control.length < identifierBytes ? null : control.readBigUInt64LE(0).toString();
}

function compare(text: Buffer, seen: ReadonlyMap<string, Seen>): Omit<BaseContents, 'systemIdentifier'> {
  const manifest = v.parse(schema, JSON.parse(text.toString('utf8')));
  // The sum is of everything before the line that it stands in.
  const at = text.lastIndexOf('"Manifest-Checksum"');
  const own = createHash('sha256').update(text.subarray(0, at)).digest('hex');
  if (own !== manifest['Manifest-Checksum']) throw new Error('the backup manifest is not as the server wrote it');
  const missing = new Set(seen.keys());
  let fileBytes = 0;
  for (const file of manifest.Files) {
    const encoded = file['Encoded-Path'];
    const name = encoded === undefined ? file.Path : Buffer.from(encoded, 'hex').toString('utf8');
    if (name === undefined) throw new Error('the backup manifest names no file');
    const found = seen.get(name);
    if (found === undefined) throw new Error(`${name} is missing`);
    missing.delete(name);
    if (found.bytes !== file.Size)
      throw new Error(`${name} has ${plural(found.bytes, 'byte')} instead of ${file.Size}`);
    if (file['Checksum-Algorithm'] !== 'SHA256') throw new Error(`${name} has no SHA-256 in the backup manifest`);
    if (found.sha256 !== file.Checksum) throw new Error(`${name} is not what the server sent`);
    fileBytes += file.Size;
  }
  // What the server itself leaves out of its list: the log directory is empty, and these are of the backup alone.
  const extra = [...missing].filter((name) => !name.startsWith('pg_wal/'));
  if (extra.length > 0) throw new Error(`${extra[0]} is in no backup manifest`);
  const [first, ...others] = manifest['WAL-Ranges'];
  if (first === undefined) throw new Error('the backup manifest names no log');
  const log = {
    timelines: [first, ...others].map(({ Timeline }) => Timeline),
    startLsn: [first, ...others].map((range) => parseLsn(range['Start-LSN'])).reduce((a, b) => (a < b ? a : b)),
    endLsn: [first, ...others].map((range) => parseLsn(range['End-LSN'])).reduce((a, b) => (a > b ? a : b)),
  };
  return { files: manifest.Files.length, fileBytes, log };
}
