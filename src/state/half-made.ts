// What a process that is killed leaves half made in the state directory: a lock that has not got its name yet, a file that was to
// replace another one, the attempt whether one may write. Each is there for milliseconds; left alone they would be there for ever,
// one more after each kill.

import { lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { isOurs } from './directory.ts';

// In the place that all share the names begin with whose they are.
const halfMade =
  /^(?:[0-9a-f]{12}\.)?(?:(?:run|drill|open|pitr|base|state)\.lock\.[0-9a-f]{8}(?:-t)?|[a-z]+\.json\.[0-9a-f]{8}|manifests-[0-9a-z]+\.[0-9]+\.[0-9a-f]{8}|\.probe\.[0-9a-f]{8})$/;
/** Nothing takes so long to make. */
const oldMs = 10 * 60_000;

/** Removes from `directory` what is ours, named like that and old enough. Never rejects: it is in nobody's way. */
export async function removeHalfMade(directory: string, now: Date): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((one) => halfMade.test(one))) {
    const file = path.join(directory, name);
    const found = await lstat(file).catch(() => null);
    if (found === null || !isOurs(found) || now.getTime() - found.mtimeMs < oldMs) continue;
    await rm(file, { recursive: true, force: true }).catch(() => undefined);
  }
}
