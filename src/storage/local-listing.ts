// What is in a directory, in the order of keys. One folder that may not be read, or something that is no file, is told of and
// hides nothing else; a whole directory that is not there is an error, never an empty listing.

import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { localError } from './local-errors.ts';
import { exchanged, exists, identify, kindOf, lookAt, noFile } from './local-files.ts';
import type { ListOptions, ObjectKey, StoredObject, UnfinishedUpload } from './store.ts';

const partialName = /^\.(.+)\.[0-9a-f]{12}\.partial$/;

interface Told {
  readonly onObscured?: ListOptions['onObscured'] | undefined;
}

/** So many files are looked at together: a disk answers ten thousand such questions one after the other in seconds. */
const lookedAtAtOnce = 128;

/** All objects whose key starts with `prefix`, some together. */
export async function* objectsUnder(
  directory: string,
  { prefix, onObscured }: Told & { readonly prefix: string },
): AsyncGenerator<readonly StoredObject[]> {
  for await (const names of filesUnder(directory, { prefix, onObscured })) {
    const wanted = names.filter((name) => !partialName.test(path.basename(name)));
    const found = await Promise.all(wanted.map(async (name) => lookIn(directory, { name, onObscured })));
    yield found.filter((one) => one !== null);
  }
}

// Null: it was removed meanwhile, or cannot be looked at, which is told.
async function lookIn(
  directory: string,
  { name, onObscured }: Told & { readonly name: string },
): Promise<StoredObject | null> {
  const file = path.join(directory, name);
  try {
    return await lookAt(file, name as ObjectKey);
  } catch (error) {
    const action = `'${name}' could not be looked at in '${directory}'`;
    const told = await localError(error, { action, directory, file });
    if (onObscured === undefined) throw told;
    onObscured({ key: name, error: told });
    return null;
  }
}

/** All temporary files of puts that did not end whose key starts with `prefix`. */
export async function* partialsUnder(directory: string, prefix: string): AsyncGenerator<UnfinishedUpload> {
  const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1);
  for await (const names of filesUnder(directory, { prefix: folder, onObscured: () => undefined }))
    for (const name of names) {
      const key = keyOfPartial(name);
      if (key?.startsWith(prefix) !== true) continue;
      const file = path.join(directory, name);
      // It may have been finished since it was listed.
      const found = await stat(file).catch(() => undefined);
      if (found !== undefined) yield { key, uploadId: file, startedAt: found.mtime };
    }
}

/** The key that a temporary file was to get; undefined for any other file. */
export function keyOfPartial(name: string): ObjectKey | undefined {
  const base = partialName.exec(path.basename(name))?.[1];
  if (base === undefined) return undefined;
  const folder = path.dirname(name);
  return (folder === '.' ? base : `${folder}/${base}`) as ObjectKey;
}

// Some names together, the last of them before it is known that the directory is still the same: what is done with each is done then.
async function* filesUnder(
  directory: string,
  { prefix, onObscured }: Told & { readonly prefix: string },
): AsyncGenerator<readonly string[]> {
  try {
    const before = await identify(directory);
    const folder = prefix.slice(0, Math.max(0, prefix.lastIndexOf('/')));
    let names: string[] = [];
    if (await exists(path.join(directory, folder)))
      for await (const name of walk(directory, { folder, onObscured })) {
        if (!name.startsWith(prefix)) continue;
        names.push(name);
        if (names.length < lookedAtAtOnce) continue;
        yield names;
        names = [];
      }
    yield names;
    // What has vanished meanwhile would be listed as empty, or in part.
    if ((await identify(directory)) !== before) throw exchanged(directory);
  } catch (error) {
    throw await localError(error, { action: `The directory '${directory}' could not be listed`, directory });
  }
}

/** Folders that a file system or a NAS keeps for itself in every folder, often readable by nobody: there is nothing of ours. */
const folders = [
  'lost+found',
  '@eaDir',
  '#recycle',
  '#snapshot',
  '.snapshot',
  '.zfs',
  'System Volume Information',
  '$RECYCLE.BIN',
];

function isOfTheSystem(entry: Dirent): boolean {
  return entry.isDirectory() && (folders.includes(entry.name) || entry.name.startsWith('.Trash-'));
}

async function* walk(
  directory: string,
  { folder, onObscured }: Told & { readonly folder: string },
): AsyncGenerator<string> {
  let entries: readonly Dirent[];
  try {
    entries = await readdir(path.join(directory, folder), { withFileTypes: true });
  } catch (error) {
    if (onObscured === undefined || folder === '') throw error;
    const file = path.join(directory, folder);
    const action = `'${folder}/' could not be listed in '${directory}'`;
    onObscured({ key: `${folder}/`, error: await localError(error, { action, directory, file }) });
    return;
  }
  // The order of keys: a folder's name goes on with its slash.
  const keyOf = (entry: Dirent): string => (entry.isDirectory() ? `${entry.name}/` : entry.name);
  for (const entry of entries.toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))) {
    if (isOfTheSystem(entry)) continue;
    const name = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isFile()) yield name;
    else {
      onObscured?.({ key: name, error: noFile(name, kindOf(entry)) });
      if (entry.isDirectory()) yield* walk(directory, { folder: name, onObscured });
    }
  }
}
