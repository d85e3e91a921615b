// Backups that are destroyed without being deleted: other bytes in the place of a manifest, or no signature any more. What counted is
// missed then as if it were gone; what a store refuses once, and what a person no longer trusts, is not.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { App } from '../../src/app/app.ts';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { toSigningSettings } from '../../src/config/signing-keys.ts';
import { commit, createDestination } from '../../src/snapshots/destination.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { manifestKey } from '../../src/snapshots/object-keys.ts';
import { signatureKey } from '../../src/snapshots/origin.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createSignature } from '../../src/snapshots/sshsig.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { openApp } from '../support/app.ts';
import { readObject } from '../support/forgeries.ts';
import { aManifest, dumpKey } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const dayMs = 86_400_000;
const hourMs = 3_600_000;
const startedAt = new Date('2026-11-30T03:10:00.000Z');
const [ours, others] = [createSigningKey('ours'), createSigningKey('others')];
const days = 5;

let s3: S3TestServer;
before(async () => {
  s3 = await startS3();
});
after(async () => s3[Symbol.asyncDispose]());

interface Stage {
  readonly app: App;
  /** Newest first; the last is what it is done to. */
  readonly snapshots: readonly Manifest[];
  readonly victim: Manifest;
  /** The key of a manifest in the bucket. */
  readonly key: ObjectKey;
  /** An app with other settings that remembers what the first does. */
  readonly other: (settings: Readonly<Record<string, string>>) => App;
  /** Looks at the bucket, so much later, and says what health has to say. */
  readonly look: (app?: App, laterMs?: number) => Promise<string>;
}

let stages = 0;
/** A bucket with signed backups of some days, known to an app. */
async function stage(
  work: (made: Stage) => Promise<void>,
  { key = ours.file }: { readonly key?: string | null } = {},
): Promise<void> {
  stages += 1;
  const prefix = `stage-${stages}/`;
  using state = temporaryDirectory();
  s3.rule(() => ({ kind: 'pass' }));
  const signing = key === null ? undefined : toSigningSettings({ key: parsePrivateKey(key), others: [] });
  const repository = createRepository(s3.store(), { prefix, ...(signing === undefined ? {} : { signing }) });
  const snapshots: Manifest[] = [];
  for (let day = 0; day < days; day += 1) {
    const dataAt = new Date(startedAt.getTime() - day * dayMs - 60_000);
    const manifest = aManifest({ dataAt, slot: new Date(dataAt.getTime() - 60_000) });
    await repository.store.putDocument(dumpKey(manifest, prefix), Buffer.from('content'), { signal });
    const name = manifest.parts[0]?.name ?? '';
    const destination = createDestination(repository, { tier: 'daily', name, partBytes: 8_000_000, verify: 'full' });
    snapshots.push(await commit(destination, { manifest, method: 'full', now: () => dataAt, signal, log: quietLog }));
  }
  const victim = snapshots.at(-1);
  assert.ok(victim);
  let now = startedAt;
  const settings = {
    ...s3.environment,
    BACKUP_S3_PREFIX: prefix,
    BACKUP_STATE_DIR: state.path,
    DATABASE_URL: 'postgres://mastodon@127.0.0.1:1/mastodon_production',
    LOCAL_DOMAIN: 'social.example',
    BACKUP_KEEP_DAILY: '14d',
    BACKUP_SCHEDULE_WEEKLY: 'off',
    BACKUP_SCHEDULE_MONTHLY: 'off',
  };
  const open = (more: Readonly<Record<string, string>>): App => openApp({ ...settings, ...more }, { now: () => now });
  const signed = key === null ? {} : { BACKUP_SIGNING_KEY: key };
  await using app = open(signed);
  const look: Stage['look'] = async (by = app, laterMs = 1_000) => {
    now = new Date(now.getTime() + laterMs);
    await by.lookAround({ startedAt, signal });
    const { status, warnings } = await by.health();
    return [status, ...warnings].join('\n');
  };
  assert.equal(await look(), 'healthy');
  await work({ app, snapshots, victim, key: manifestKey(prefix, victim), other: open, look });
}

const lacks = ({ victim }: Stage, reason = ''): RegExp =>
  new RegExp(`^degraded\n.*lacks 1 snapshot that it was known to hold, daily/${victim.id}${reason}`);

describe('a snapshot that counted is missed', () => {
  const garble = async ({ key }: Stage): Promise<void> =>
    s3.overwrite(key, Buffer.alloc((await readObject(s3.store(), key)).length, 0x20));
  const another = async ({ key, snapshots }: Stage): Promise<Buffer> =>
    readObject(s3.store(), key.replace(/[^/]*$/, `${snapshots[0]?.id}.json`));
  const ways: readonly {
    readonly what: string;
    readonly how: (made: Stage) => Promise<void>;
    readonly says: string;
  }[] = [
    { what: 'garbage is in the place of its manifest', how: garble, says: 'its manifest cannot be read' },
    {
      what: 'the manifest of another one is there',
      how: async (made) => s3.overwrite(made.key, await another(made)),
      says: 'its manifest cannot be read: it says it is another snapshot',
    },
    {
      what: 'more bytes are there than any manifest has',
      how: async ({ key }) => s3.overwrite(key, Buffer.alloc(2 * 1024 * 1024)),
      says: 'its manifest cannot be read: 2097152 bytes is too much',
    },
    {
      what: 'its signature is gone',
      how: async ({ key }) => s3.store().remove(signatureKey(key), { signal }),
      says: 'it is not signed',
    },
    {
      what: 'its signature is none',
      how: async ({ key }) => s3.overwrite(signatureKey(key), Buffer.from('none')),
      says: 'it has a signature that is not its own',
    },
    {
      what: 'somebody else has signed it',
      how: async ({ key }) => {
        const signature = createSignature(await readObject(s3.store(), key), parsePrivateKey(others.file));
        await s3.overwrite(signatureKey(key), Buffer.from(signature));
      },
      says: 'it is signed by SHA256:',
    },
  ];
  for (const { what, how, says } of ways) {
    it(`when ${what}, until it counts again`, async () => {
      await stage(async (made) => {
        const { app, look, key } = made;
        const as = await Promise.all([key, signatureKey(key)].map(async (one) => readObject(s3.store(), one)));
        await how(made);
        const expected = lacks(made, `; something else is in the place of it \\(daily/.*: ${says}`);
        assert.match(await look(), expected);
        assert.match(await look(), expected, 'it is still so');
        assert.equal((await app.status()).destinations[0]?.apart['missing'], 1);
        const told = await app.doctor(signal);
        assert.match(told.map(({ detail }) => detail).join('\n'), new RegExp(says));
        // Where the right one is back nothing is missed.
        await s3.overwrite(key, as[0] ?? Buffer.alloc(0));
        await s3.overwrite(signatureKey(key), as[1] ?? Buffer.alloc(0));
        assert.equal(await look(), 'healthy');
      });
    });
  }

  it('when all but the newest are overwritten, and by how many', async () => {
    await stage(async ({ look, snapshots, key }) => {
      for (const { id } of snapshots.slice(1))
        await s3.overwrite(key.replace(/[^/]*$/, `${id}.json`), Buffer.from('x'));
      assert.match(await look(), /lacks 4 snapshots .* something else is in the place of 4 of them/);
    });
  });

  it('when its dump went first, and its manifest after it', async () => {
    await stage(async (made) => {
      const { look, key, victim } = made;
      await s3.store().remove(key.replace(/[^/]*$/, victim.parts[0]?.name ?? '') as ObjectKey, { signal });
      assert.match(await look(), /^degraded\n.*holds 1 damaged snapshot$/);
      await s3.store().remove(key, { signal });
      assert.match(await look(), lacks(made, '$'));
    });
  });
});

describe('a snapshot that the store does not give', () => {
  const refuse = ({ key }: Stage): void =>
    s3.rule(({ method, path }) =>
      method !== 'GET' || !path.endsWith(key)
        ? { kind: 'pass' }
        : { kind: 'answer', status: 403, code: 'AccessDenied' },
    );

  it('is not missed, and told of when it is so an hour later', async () => {
    await stage(async (made) => {
      const { look, other } = made;
      refuse(made);
      // A new process knows nothing of what is in it.
      await using fresh = other({ BACKUP_SIGNING_KEY: ours.file });
      assert.equal(await look(fresh), 'healthy');
      assert.equal(await look(fresh, hourMs / 2), 'healthy');
      assert.match(await look(fresh, hourMs), /^degraded\n.*does not give 1 snapshot .*daily\/.*: .*access is denied/);
      s3.rule(() => ({ kind: 'pass' }));
      assert.equal(await look(fresh), 'healthy');
    });
  });

  it('is not forgotten: what becomes of it meanwhile is told', async () => {
    await stage(async (made) => {
      const { look, other, key } = made;
      refuse(made);
      await using fresh = other({ BACKUP_SIGNING_KEY: ours.file });
      assert.equal(await look(fresh), 'healthy');
      await s3.store().remove(key, { signal });
      assert.match(await look(fresh), lacks(made, '$'));
    });
  });

  it('is still missed where it was overwritten before', async () => {
    await stage(async (made) => {
      const { look, other, key } = made;
      await s3.overwrite(key, Buffer.from('x'));
      assert.match(await look(), lacks(made));
      refuse(made);
      await using fresh = other({ BACKUP_SIGNING_KEY: ours.file });
      assert.match(await look(fresh), lacks(made));
    });
  });
});

describe('what counts no more by a person’s doing is not missed', () => {
  it('when there is a key, and there was none', async () => {
    await stage(
      async ({ look, other }) => {
        await using app = other({ BACKUP_SIGNING_KEY: ours.file });
        assert.match(await look(app), /^starting/);
      },
      { key: null },
    );
  });

  it('when another key is trusted; without any signature it is', async () => {
    await stage(async (made) => {
      const { look, other, key } = made;
      await s3.store().remove(signatureKey(key), { signal });
      await using app = other({ BACKUP_SIGNING_KEY: others.file });
      assert.match(await look(app), /lacks 1 snapshot .*it is not signed/);
    });
  });
});
