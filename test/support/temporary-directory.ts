// Directories that a test fills and leaves. In memory where there is plenty: servers write thousands of small files, which a disk
// takes as long for as all else together; and a drill is skipped on a disk that is four fifths full, which is not what most tests
// are about.

import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const memory = '/dev/shm';
const plentyBytes = 4 * 1024 ** 3;

/** Makes a directory whose name begins with `prefix`; `on: 'disk'` where a test is about what a disk does. */
export function makeDirectory(prefix: string, { on = 'memory' }: { readonly on?: 'memory' | 'disk' } = {}): string {
  return mkdtempSync(path.join(on === 'memory' && isPlenty(memory) ? memory : tmpdir(), prefix));
}

/** A directory that is removed by its disposer, or when the test process ends. */
export function temporaryDirectory(
  options: { readonly on?: 'memory' | 'disk' } = {},
): Disposable & { readonly path: string } {
  const folder = makeDirectory('mastodon-backup-test-', options);
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  // A test that fails before it disposes must not keep memory until the machine is restarted.
  const removeAtExit = (): void => {
    try {
      remove();
    } catch {
      // A child still writes there.
    }
  };
  process.once('exit', removeAtExit);
  return {
    path: folder,
    [Symbol.dispose]: () => {
      process.off('exit', removeAtExit);
      remove();
    },
  };
}

// A container's own is 64 MB.
function isPlenty(folder: string): boolean {
  if (!existsSync(folder)) return false;
  const { bavail, blocks, bsize } = statfsSync(folder);
  return bavail * bsize >= plentyBytes && bavail / blocks > 0.3;
}
