// The rooms of src/ by rooms.json, and what their files import of each other. The import test, the table in
// docs/architecture.md and `npm run architecture` all read them from here, so that none of the three can tell a tale of its own.

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A folder of src/, or a file that lies beside the folders. */
export interface Room {
  readonly room: string;
  /** A file may import its own room and rooms of a strictly lower rank. */
  readonly rank: number;
  readonly holds: string;
}

/** One import or re-export. */
export interface Import {
  /** Below src/, like all paths here. */
  readonly file: string;
  /** As it is written. */
  readonly target: string;
  /** The imported file; null where it is a package. */
  readonly imported: string | null;
  /** When it is loaded: with the file, on demand, or never, where only its types are meant. */
  readonly loaded: 'at once' | 'on demand' | 'never';
}

const source = fileURLToPath(new URL('../../src', import.meta.url));

/** All rooms, the highest rank first. */
export const rooms: readonly Room[] = JSON.parse(
  readFileSync(new URL('rooms.json', import.meta.url), 'utf8'),
) as readonly Room[];

/** All source files. */
export const files: readonly string[] = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) =>
  file.endsWith('.ts'),
);

/** The text of a source file. */
export function textOf(file: string): string {
  return readFileSync(path.join(source, file), 'utf8');
}

/** All imports, those of types too. */
export const imports: readonly Import[] = files.flatMap((file) => {
  const text = textOf(file);
  const importOf = (target: string, loaded: Import['loaded']): Import => ({
    file,
    target,
    imported: target.startsWith('.') ? path.join(path.dirname(file), target) : null,
    loaded,
  });
  return [
    ...[...text.matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)';$/gms)].map(([, type, target = '']) =>
      importOf(target, type === undefined ? 'at once' : 'never'),
    ),
    ...[...text.matchAll(/\b(?:import|createRequire\(import\.meta\.url\))\('([^']+)'\)/g)].map(([, target = '']) =>
      importOf(target, 'on demand'),
    ),
  ];
});

/** Packages that are loaded with a file, by itself or by what it imports, before anything is done. */
export function packagesLoadedWith(file: string): ReadonlySet<string> {
  const reached = new Set([file]);
  const packages = new Set<string>();
  for (const at of reached) {
    for (const { target, imported } of imports.filter((one) => one.file === at && one.loaded === 'at once')) {
      if (imported !== null) reached.add(imported);
      else if (!target.startsWith('node:')) packages.add(target);
    }
  }
  return packages;
}

/** The name of the room that a file lies in. */
export function roomOf(file: string): string {
  return file.split('/')[0] ?? '';
}

/** Imports of another room whose rank is not strictly lower. Throws for a file whose room has no rank. */
export function upwardImports(): readonly Import[] {
  const rank = (file: string): number => {
    const room = rooms.find((one) => one.room === roomOf(file));
    if (room === undefined) throw new Error(`${file}: test/architecture/rooms.json has no room '${roomOf(file)}'`);
    return room.rank;
  };
  return imports.filter(
    ({ file, imported }) => imported !== null && roomOf(file) !== roomOf(imported) && rank(imported) >= rank(file),
  );
}

/** Names of the rooms that a room imports from. */
export function importsOf(room: string): ReadonlySet<string> {
  const own = imports.filter(({ file, imported }) => roomOf(file) === room && imported !== null);
  return new Set(own.map(({ imported }) => roomOf(imported ?? '')).filter((name) => name !== room));
}

/** Rooms that reach themselves again through others. */
export function circles(): readonly string[] {
  return rooms.map(({ room }) => room).filter((room) => reachable(room).has(room));
}

function reachable(room: string): ReadonlySet<string> {
  const found = new Set(importsOf(room));
  for (const name of found) for (const next of importsOf(name)) found.add(next);
  return found;
}
