// Every PostgreSQL major in a container: backed up with the client that fits, drilled in the server of the image, restored
// into a newer one.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { countRows } from '../support/mastodon-data.ts';
import { createDatabaseNetwork, majors, type DatabaseNetwork } from './support/database-container.ts';

describe('PostgreSQL servers in containers', () => {
  let network: DatabaseNetwork;
  before(async () => {
    network = await createDatabaseNetwork();
    await Promise.all(majors.map(async (major) => network.start(major)));
  });
  after(async () => network[Symbol.asyncDispose]());

  for (const major of majors) {
    it(`backs up PostgreSQL ${major}, and a drill of it passes`, async () => {
      const on = { major, backups: `of-${major}` };
      const run = await network.run(['run', '--json'], on);
      assert.equal(run.status, 0, run.stderr);
      const listed = await network.run(['list', '--json'], on);
      const { snapshots } = JSON.parse(listed.stdout) as {
        snapshots: { database: { serverVersion: string; clientVersion: string; rows: Record<string, number> } }[];
      };
      const [snapshot] = snapshots;
      assert.ok(snapshot !== undefined, listed.stderr);
      assert.ok(snapshot.database.serverVersion.startsWith(`${major}.`), snapshot.database.serverVersion);
      assert.ok(Number.parseInt(snapshot.database.clientVersion, 10) >= major, snapshot.database.clientVersion);
      assert.deepEqual(snapshot.database.rows, await countRows(await network.connection(major)));
      const drill = await network.run(['drill'], on);
      assert.equal(drill.status, 0, drill.stdout + drill.stderr);
      assert.match(drill.stdout, /: passed/);
      console.log(`server ${snapshot.database.serverVersion}, pg_dump ${snapshot.database.clientVersion}`);
      console.log(drill.stdout.split('\n')[0]);
    });
  }

  const [oldest = 0, ...newer] = majors;
  for (const major of newer) {
    it(`restores a backup of PostgreSQL ${oldest} into ${major}`, async () => {
      const on = { major, backups: `of-${oldest}` };
      const restored = await network.run(['restore', 'latest', '--to-database', 'moved'], on);
      assert.equal(restored.status, 0, restored.stderr);
      assert.deepEqual(
        await countRows(await network.connection(major, 'moved')),
        await countRows(await network.connection(oldest)),
      );
    });
  }

  it(`drills a backup of PostgreSQL ${oldest} in the newest server there is`, async () => {
    const programs = majors.at(-1) ?? 0;
    const drill = await network.run(['drill'], { major: oldest, backups: `of-${oldest}`, programs });
    assert.equal(drill.status, 0, drill.stdout + drill.stderr);
    assert.match(drill.stdout, new RegExp(`into PostgreSQL ${programs}\\.\\d+.*: passed`));
  });
});
