// Work that can wait, beside a Mastodon that cannot: a dump that takes half of the processor for a night makes every page of it slow.
// Linux also derives from it whose turn it is at the disk (ioprio_set(2)).

import { readdir, readFile } from 'node:fs/promises';
import { getPriority, setPriority } from 'node:os';

/** What libuv calls the threads of its pool, on which Node reads files, compresses and encrypts. */
const workerName = 'libuv-worker';
/** Where Linux has a process's own threads; other systems have it not, and there the threads stay as they are. */
const threads = '/proc/self/task';

/**
 * Gives a process, or a thread by its Linux id, a niceness of 1 to 19; 0 leaves it as it is, and so does a system that refuses. What is
 * nicer already, as all is that an administrator has started so, stays as nice: root could make it less so.
 */
export function makeNice(id: number, niceness: number): void {
  if (niceness === 0) return;
  try {
    if (getPriority(id) < niceness) setPriority(id, niceness);
  } catch {
    // It has ended, or nothing here may change a priority.
  }
}

/** Gives it to the threads on which this process compresses. The event loop keeps its own: it watches whom the dump keeps waiting. */
export async function makeWorkersNice(niceness: number): Promise<void> {
  if (niceness === 0) return;
  // Reading the directory has started all of them, if nothing had before.
  const ids = await readdir(threads).catch(() => []);
  for (const id of ids) {
    const name = await readFile(`${threads}/${id}/comm`, 'utf8').catch(() => '');
    if (name.trim() === workerName) makeNice(Number(id), niceness);
  }
}
