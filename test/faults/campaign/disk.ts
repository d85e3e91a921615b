// The directory as a disk that can be full, read-only or gone: a small file system in memory, mounted twice, so that it keeps
// what it holds when the mount that the program sees is taken away. Where we may not mount, it is a plain directory that can
// only be gone.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** The disk. */
export interface Disk extends AsyncDisposable {
  /** What the program is given; a flavour has a folder in it. */
  readonly directory: string;
  readonly isMounted: boolean;
  /** Leaves so many bytes free; the disposer frees the rest again. */
  fill(freeBytes: number): Disposable;
  /** Makes it read-only, as soon as no file is open for writing; the disposer makes it writable. */
  protect(): boolean;
  writable(): void;
  /** Takes it away: by its mount, or by its name. */
  takeAway(how: 'unmounted' | 'renamed'): void;
  /** Brings it back, however it was taken; answers what was made in its place, which does not stay. */
  bringBack(): readonly string[];
}

/** Bytes of the file system. */
const sizeMiB = 96;

/** Makes the disk below `home`. */
export function createDisk(home: string): Disk {
  const back = path.join(home, 'disk');
  const directory = path.join(home, 'nas');
  for (const folder of [back, directory]) mkdirSync(folder, { recursive: true });
  const options = `size=${sizeMiB}m,mode=755`;
  const isMounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'campaign', back]).status === 0 &&
    spawnSync('mount', ['--bind', back, directory]).status === 0;
  const filler = path.join(isMounted ? back : directory, 'filler');
  let gone: 'unmounted' | 'renamed' | undefined;
  return {
    directory,
    isMounted,
    fill(freeBytes) {
      const { bavail, bsize } = statfsSync(back);
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - freeBytes)));
      return { [Symbol.dispose]: () => rmSync(filler, { force: true }) };
    },
    protect: () => spawnSync('mount', ['-o', 'remount,bind,ro', directory]).status === 0,
    writable: () => void execFileSync('mount', ['-o', 'remount,bind,rw', directory]),
    takeAway(how) {
      gone = how;
      // A mount point cannot be renamed.
      if (isMounted) execFileSync('umount', ['-l', directory]);
      if (how === 'renamed' || !isMounted) renameSync(directory, `${directory}.away`);
    },
    bringBack() {
      if (gone === undefined) return [];
      gone = undefined;
      const found = existsSync(directory) ? readdirSync(directory) : [];
      if (existsSync(`${directory}.away`)) {
        rmSync(directory, { recursive: true, force: true });
        renameSync(`${directory}.away`, directory);
      } else if (isMounted) for (const name of found) rmSync(path.join(directory, name), { recursive: true });
      if (isMounted) execFileSync('mount', ['--bind', back, directory]);
      return found;
    },
    async [Symbol.asyncDispose]() {
      if (!isMounted) return;
      spawnSync('umount', ['-l', directory]);
      spawnSync('umount', ['-l', back]);
    },
  };
}
