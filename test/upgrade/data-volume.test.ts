// Tables of mounts as the engines really write them, for a database whose directory is on a volume, beside one, and in memory.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dataVolumeOf } from '../../src/upgrade/data-volume.ts';

const digest = '4f1c'.repeat(16);
const layer =
  '812 703 0:57 / / rw,relatime master:290 - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A:/var/lib/docker/overlay2/l/B';
const proc = '813 812 0:60 / /proc rw,nosuid - proc proc rw';
const bind = (point: string): string =>
  `901 812 254:1 /srv/mastodon/postgres18 ${point} rw,relatime shared:1 - ext4 /dev/vda1 rw`;
const anonymous = (point: string): string =>
  `902 812 254:1 /var/lib/docker/volumes/${digest}/_data ${point} rw,relatime master:1 - ext4 /dev/vda1 rw`;
const table = (...lines: readonly string[]): string => `${[layer, proc, ...lines].join('\n')}\n`;
const of18 = '/var/lib/postgresql/18/docker';

describe('where the data of a server lie', () => {
  it('is a volume when one holds the directory', () => {
    assert.equal(dataVolumeOf(table(bind('/var/lib/postgresql')), of18), 'lasting');
    assert.equal(dataVolumeOf(table(bind('/var/lib/postgresql/data')), '/var/lib/postgresql/data'), 'lasting');
    const named = bind('/var/lib/postgresql').replace('/srv/mastodon/postgres18', '/var/lib/docker/volumes/db18/_data');
    assert.equal(dataVolumeOf(table(named), of18), 'lasting');
  });

  it("is the container's own layer when the volume is mounted elsewhere", () => {
    assert.equal(dataVolumeOf(table(bind('/var/lib/postgresql/data')), of18), 'container');
    assert.equal(dataVolumeOf(table(bind('/var/lib/postgresql/18/dock')), of18), 'container');
    assert.equal(dataVolumeOf(table(), '/var/lib/postgresql/data'), 'container');
    const podman = table().replace('- overlay overlay', '- fuse.fuse-overlayfs fuse-overlayfs');
    assert.equal(dataVolumeOf(podman, of18), 'container');
  });

  it('is a volume without a name where the image brings its own', () => {
    const both = table(anonymous('/var/lib/postgresql'), bind('/var/lib/postgresql/data'));
    assert.equal(dataVolumeOf(both, of18), 'anonymous');
    assert.equal(dataVolumeOf(table(anonymous('/var/lib/postgresql'), bind(of18)), of18), 'lasting');
    const rootless = anonymous('/var/lib/postgresql').replace(
      '/var/lib/docker/volumes/',
      '/home/masto/.local/share/containers/storage/volumes/',
    );
    assert.equal(dataVolumeOf(table(rootless), of18), 'anonymous');
    for (const above of ['/var/lib/docker/volumes', '/var/lib/docker']) {
      const ownDisk = anonymous('/var/lib/postgresql').replace(above, '');
      assert.equal(dataVolumeOf(table(ownDisk), of18), 'anonymous');
    }
  });

  it('is told of a later mount that hides an earlier, and of a path with a blank', () => {
    const hidden = table(bind('/var/lib/postgresql'), anonymous('/var/lib/postgresql'));
    assert.equal(dataVolumeOf(hidden, of18), 'anonymous');
    assert.equal(dataVolumeOf(table(bind(String.raw`/srv/my\040data`)), '/srv/my data/18'), 'lasting');
  });

  it('is unknown where the root tells nothing, and without a table', () => {
    const bare = '25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro\n';
    const btrfs = `812 703 0:31 /docker/btrfs/subvolumes/${digest} / rw,relatime - btrfs /dev/vda1 rw\n`;
    const zfs = `812 703 0:57 / / rw,relatime - zfs tank/docker/${digest} rw\n`;
    for (const nothing of [bare, btrfs, zfs, '', 'no table\n', '1 2 3\n'])
      assert.equal(dataVolumeOf(nothing, of18), 'unknown');
  });
});
