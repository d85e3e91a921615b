// Real file systems, mounted for a test and taken away again. Where this machine lets nobody mount one, the reason is told, and the
// test that wants it is skipped with it.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryDirectory } from '../support/temporary-directory.ts';

/** A file system that is mounted. */
export interface Mounted extends Disposable {
  /** Where it is. */
  readonly path: string;
  /** What is behind it: the directory whose content it shows. */
  readonly behind: string;
}

/** How to mount one, by its name. */
export const kinds = {
  /** No links, no sockets, writes from the beginning to the end alone: a bucket or a Storage Box as a directory. */
  rclone: ({ mountPoint, behind }) => [`rclone mount ${behind} ${mountPoint} --daemon --config /dev/null`],
  /** The same with files that are written on disk first, as rclone advises. */
  'rclone with a cache': ({ mountPoint, behind }) => [
    `rclone mount ${behind} ${mountPoint} --daemon --config /dev/null --vfs-cache-mode writes --cache-dir ${behind}.cache`,
  ],
  /** Two disks as one: a link between folders that lie on different ones fails. */
  mergerfs: ({ mountPoint, behind }) => [
    `mergerfs -o category.create=rand,fsname=mastodon-backup-test ${behind}/1:${behind}/2 ${mountPoint}`,
  ],
  /** A stick or a disk out of a shop: no links, no sockets, no owners and modes. Where the kernel has none, by FUSE. */
  vfat: ({ mountPoint, behind }) => [
    `truncate -s 256M ${behind}/disk`,
    `mkfs.vfat ${behind}/disk`,
    /\bvfat$/m.test(readFileSync('/proc/filesystems', 'utf8'))
      ? `mount -o loop ${behind}/disk ${mountPoint}`
      : `fusefat -o rw+ ${behind}/disk ${mountPoint}`,
  ],
  /** A disk of 8 MiB. */
  'a small disk': ({ mountPoint }) => [`mount -t tmpfs -o size=8m tmpfs ${mountPoint}`],
  'a read-only mount': ({ mountPoint, behind }) => [
    `mount --bind ${behind} ${mountPoint}`,
    `mount -o remount,bind,ro ${mountPoint}`,
  ],
} as const satisfies Readonly<
  Record<string, (places: { readonly mountPoint: string; readonly behind: string }) => readonly string[]>
>;

/** One of them. */
export type Kind = keyof typeof kinds;

/** Mounts one; a text says why there can be none on this machine. */
export function mountOne(kind: Kind): Mounted | string {
  if (process.getuid?.() !== 0) return 'only root may mount';
  const folder = temporaryDirectory({ on: 'disk' });
  const [mountPoint, behind] = ['mount', 'behind'].map((name) => path.join(folder.path, name)) as [string, string];
  for (const one of [mountPoint, `${behind}/1`, `${behind}/2`]) mkdirSync(one, { recursive: true });
  const unmount = (): void => {
    if (isMounted(mountPoint)) spawnSync('umount', ['-l', mountPoint]);
    folder[Symbol.dispose]();
  };
  for (const line of kinds[kind]({ mountPoint, behind })) {
    const [command = '', ...args] = line.split(' ');
    const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 });
    if (error !== undefined || status !== 0) {
      unmount();
      const why = error?.message ?? stderr.trim().split('\n').at(-1);
      return `${kind} cannot be mounted: ${why}${existsSync('/dev/fuse') ? '' : ' (there is no /dev/fuse)'}`;
    }
  }
  if (!isMounted(mountPoint)) {
    unmount();
    return `${kind} was not mounted`;
  }
  return { path: mountPoint, behind, [Symbol.dispose]: unmount };
}

function isMounted(mountPoint: string): boolean {
  return readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .some((line) => line.split(' ')[1] === mountPoint);
}
