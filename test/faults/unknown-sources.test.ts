// A copy makes a backup out of what is in a store. Without a signing key nobody can be asked whose that is, so a copy is made of
// what was made here or of what was decoded to its end just now, and never of what only says that somebody has verified it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { dumpOf, encodeManifest, snapshotName, type Manifest } from '../../src/snapshots/manifest.ts';
import { manifestKey } from '../../src/snapshots/object-keys.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { forge, readObject, readStoredManifest } from '../support/forgeries.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { dumpKey } from '../support/manifests.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

type Settings = Readonly<Record<string, string>>;
const signal = AbortSignal.timeout(1_800_000);
const soon = (seconds: number): Date => new Date(Date.now() + seconds * 1_000);

let server: PostgresServer;
let identity: string;
let recipient: string;
const scratch = temporaryDirectory();
before(async () => {
  server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  identity = path.join(scratch.path, 'key.txt');
  writeFileSync(identity, execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }));
  recipient = execFileSync('age-keygen', ['-y', identity], { encoding: 'utf8' }).trim();
});
after(async () => {
  await server[Symbol.asyncDispose]();
  scratch[Symbol.dispose]();
});

let count = 0;
for (const isEncrypted of [true, false]) {
  describe(`a copy, where backups are ${isEncrypted ? 'encrypted and nobody can open them' : 'in the clear'}`, () => {
    let s3: S3TestServer;
    let settings: Settings;
    let ours: Manifest;
    beforeEach(async () => {
      await s3?.[Symbol.asyncDispose]();
      s3 = await startS3();
      count += 1;
      const nas = path.join(scratch.path, `nas-${count}`);
      mkdirSync(nas);
      const alone = {
        ...databaseEnvironment(server.mastodon('mastodon_production')),
        ...s3.environment,
        LOCAL_DOMAIN: 'social.example',
        BACKUP_STATE_DIR: path.join(scratch.path, `state-${count}`),
        BACKUP_COMPRESSION: 'none',
        BACKUP_SECRETS: 'off',
        ...(isEncrypted ? { BACKUP_AGE_RECIPIENTS: recipient } : {}),
      };
      settings = { ...alone, BACKUP_LOCAL_DIR: nas };
      const run = await runCommand(['run', '--json'], alone);
      assert.equal(run.status, 0, run.stderr);
      const { tier, id } = JSON.parse(run.stdout) as { tier: Manifest['tier']; id: string };
      ours = await readStoredManifest(s3.store(), manifestKey('', { tier, id }));
    });
    after(async () => s3[Symbol.asyncDispose]());

    const forgeGarbage = async (at: Date): Promise<Manifest> =>
      forge(s3.store(), { like: ours, at, content: Buffer.alloc(49, 7), encryption: isEncrypted ? 'age' : null });
    const forgetful = (): Settings => ({ ...settings, BACKUP_STATE_DIR: path.join(scratch.path, `lost-${count}`) });
    /** What the other destination got, and what a coarser tier was made of. */
    const copies = async (of: Settings): Promise<{ readonly mended: readonly string[]; readonly weekly: unknown }> => {
      await using app = openApp(of);
      while (await app.mend(signal));
      const { snapshots } = await app.list({ from: 'local', tier: 'daily', signal });
      const weekly = await app.runScheduled({ tier: 'weekly', slot: new Date(), signal, onProgress: () => undefined });
      assert.ok(weekly !== null && weekly.outcomes.every(({ kind }) => kind === 'stored'));
      return { mended: snapshots.map(snapshotName), weekly: weekly.copiedFrom };
    };

    it('is made of what was made here, and not of what only says that it is whole', async () => {
      await forgeGarbage(soon(1));
      await forgeGarbage(soon(2));
      assert.deepEqual(await copies(settings), { mended: [snapshotName(ours)], weekly: snapshotName(ours) });
    });

    it('is made of nothing that cannot be looked into, when it is forgotten what was made here', async () => {
      await forgeGarbage(soon(1));
      const name = snapshotName(ours);
      assert.deepEqual(
        await copies(forgetful()),
        isEncrypted ? { mended: [], weekly: null } : { mended: [name], weekly: name },
      );
    });

    it('is made of what a private key opens, when it is forgotten what was made here', async () => {
      await forgeGarbage(soon(1));
      const name = snapshotName(ours);
      const open = isEncrypted ? { BACKUP_AGE_IDENTITY_FILE: identity } : {};
      assert.deepEqual(await copies({ ...forgetful(), ...open }), { mended: [name], weekly: name });
    });

    it('is not made of what somebody has put in the place of what was made here', async () => {
      const forged = await forgeGarbage(soon(1));
      const dump = { ...dumpOf(forged), name: dumpOf(ours).name };
      await s3.overwrite(dumpKey(ours), await readObject(s3.store(), dumpKey(forged)));
      await s3.overwrite(manifestKey('', ours), encodeManifest({ ...ours, parts: [dump] }));
      assert.deepEqual(await copies(settings), { mended: [], weekly: null });
    });

    it('is not made of what is dated in the future, which hides none that is not', async () => {
      const content = await readObject(s3.store(), dumpKey(ours));
      const encryption = isEncrypted ? ('age' as const) : null;
      await forge(s3.store(), { like: ours, at: new Date('2090-01-01T00:00:00Z'), content, encryption });
      assert.deepEqual(await copies(settings), { mended: [snapshotName(ours)], weekly: snapshotName(ours) });
    });
  });
}
