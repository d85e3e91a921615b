// Where a server's data really lie, told by the server's own table of mounts: since 18 PostgreSQL's image keeps its data one directory
// higher, and a volume at the former place stays empty while the database lives in the container and goes with it.

import type { Client } from 'pg';

/** What holds the data: `container`: its own layer, `anonymous`: a volume without a name, which the next container may not get. */
export type DataVolume = 'lasting' | 'container' | 'anonymous' | 'unknown';

interface Mount {
  /** The part of the file system that is mounted. */
  readonly root: string;
  readonly point: string;
  readonly fileSystem: string;
}

const layered = new Set(['overlay', 'aufs', 'fuse.fuse-overlayfs']);
/** What Docker and Podman call a volume that nobody named; where a disk of its own holds them, without what is before it. */
const anonymousRoot = /\/(?:volumes\/[0-9a-f]{64}(?:\/_data)?|[0-9a-f]{64}\/_data)$/;

/** Asks the server; `unknown` where it does not tell this role, or has no such table. */
export async function askDataVolume(client: Client, directory: string): Promise<DataVolume> {
  const { rows } = await client
    .query<{ mounts: string | null }>("select pg_read_file('/proc/self/mountinfo') as mounts")
    .catch(() => ({ rows: [] }));
  return dataVolumeOf(rows[0]?.mounts ?? '', directory);
}

/** What a table of mounts says of a directory; proc_pid_mountinfo(5). */
export function dataVolumeOf(mountinfo: string, directory: string): DataVolume {
  const holding = parseMounts(mountinfo)
    .filter(({ point }) => point === '/' || `${directory}/`.startsWith(`${point}/`))
    // What was mounted later hides what is at the same point.
    .reduce<Mount | null>((best, one) => (best !== null && one.point.length < best.point.length ? best : one), null);
  if (holding === null) return 'unknown';
  // A root of btrfs or ZFS is a machine's, or a container's of the storage driver of that name.
  if (holding.point === '/') return layered.has(holding.fileSystem) ? 'container' : 'unknown';
  return anonymousRoot.test(holding.root) ? 'anonymous' : 'lasting';
}

function parseMounts(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line) => {
    const [before = '', after] = line.split(' - ', 2);
    const [, , , root, point] = before.split(' ');
    const fileSystem = after?.split(' ')[0];
    if (root === undefined || point === undefined || fileSystem === undefined) return [];
    return [{ root: unescaped(root), point: unescaped(point), fileSystem }];
  });
}

// Blanks and the like stand there in octal.
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCodePoint(Number.parseInt(digits, 8)));
}
