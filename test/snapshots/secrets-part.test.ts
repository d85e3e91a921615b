import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { storeEnclosure } from '../../src/backup/enclosure.ts';
import { encryptSecrets, type SecretsObject } from '../../src/backup/secrets-object.ts';
import { copyParts } from '../../src/snapshots/copying.ts';
import { verifySecrets } from '../../src/snapshots/secrets-part.ts';
import { createOneRunKey, decryptDocument } from '../../src/codec/age.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { encodeManifest, partOf, snapshotName, type Manifest, type Part } from '../../src/snapshots/manifest.ts';
import { compareFingerprints, fingerprintSecrets } from '../../src/mastodon/secret-fingerprints.ts';
import { sweep } from '../../src/snapshots/deletion-law.ts';
import { manifestKey } from '../../src/snapshots/object-keys.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, ObjectStore, RemovableStore } from '../../src/storage/store.ts';
import { environmentOf } from '../config/environments.ts';
import { aManifest, dumpKey, secretsKey } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const options = { log: quietLog, stallTimeoutMs: 60_000, signal };
const destination = { etagMeter: null, partBytes: 8 * 1024 * 1024 };
const environment = environmentOf({ SECRET_KEY_BASE: 'secret-key-base', LOCAL_DOMAIN: 'social.example' });

async function keyPair(): Promise<{ readonly identity: string; readonly recipient: string }> {
  return createOneRunKey([]);
}

/** A snapshot with a secrets object, and the private key of its recipient. */
async function putWithSecrets(
  repository: Repository,
): Promise<{ readonly manifest: Manifest; readonly secrets: SecretsObject; readonly identity: string }> {
  const owner = await keyPair();
  const base = aManifest({ dataAt: '2026-01-01T00:00:00.000Z' });
  const secrets = await encryptSecrets(environment, {
    ...options,
    id: base.id,
    secrets: 'auto',
    recipients: [owner.recipient],
    oneRunKey: await keyPair(),
  });
  assert.ok(secrets);
  const part = await storeEnclosure({ repository, manifest: base }, { ...options, enclosure: secrets });
  const { fingerprints } = secrets;
  const manifest = { ...base, parts: [...base.parts, part], secrets: { fingerprints } };
  await repository.store.putDocument(dumpKey(manifest), Buffer.from('content'), { signal });
  await putManifest(repository.store, manifest);
  return { manifest, secrets, identity: owner.identity };
}

async function putManifest(store: ObjectStore, manifest: Manifest): Promise<void> {
  const key = manifestKey('', manifest);
  await store.putDocument(key, encodeManifest(manifest), { signal });
}

describe('a secrets object', () => {
  it('opens with the key of a recipient, and its secrets are those of the fingerprints', async () => {
    using folder = temporaryDirectory();
    const repository = createRepository(createLocalStore({ directory: folder.path }));
    const { manifest, secrets, identity } = await putWithSecrets(repository);
    assert.match((await decryptDocument(secrets.content, [identity])).toString(), /^SECRET_KEY_BASE=secret-key-base$/m);
    assert.equal(await verifySecrets(repository, { manifest, identities: [identity], ...options }), 'decrypted');
    assert.equal(await verifySecrets(repository, { manifest, identities: [], ...options }), 'hashed');
    const stranger = await keyPair();
    await assert.rejects(verifySecrets(repository, { manifest, identities: [stranger.identity], ...options }), {
      code: 'verify',
      message: /cannot be opened/,
    });
    const other = { ...manifest, secrets: { ...manifest.secrets, fingerprints: { OTP_SECRET: '00' } } } as Manifest;
    await assert.rejects(verifySecrets(repository, { manifest: other, identities: [identity], ...options }), {
      message: /its OTP_SECRET, SECRET_KEY_BASE, LOCAL_DOMAIN differ from the manifest's fingerprints/,
    });
  });

  it('is none without variables, without recipients, and when it is switched off', async () => {
    const plan = { ...options, id: 'x', secrets: 'auto', recipients: ['age1'], oneRunKey: await keyPair() } as const;
    assert.equal(await encryptSecrets(environmentOf({ HOME: '/' }), plan), null);
    assert.equal(await encryptSecrets(environment, { ...plan, recipients: [], oneRunKey: null }), null);
    assert.equal(await encryptSecrets(environment, { ...plan, secrets: 'off' }), null);
  });

  it('that the store gives back changed is not named by a manifest', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const repository = createRepository(store);
    const { secrets } = await putWithSecrets(repository);
    const other = Buffer.alloc(secrets.content.length, 'something else');
    const forgetful: RemovableStore = { ...store, get: async () => Readable.from([other]) };
    const weekly = aManifest({ tier: 'weekly' });
    await assert.rejects(
      storeEnclosure({ repository: createRepository(forgetful), manifest: weekly }, { ...options, enclosure: secrets }),
      { code: 'verify', message: /Mastodon's settings in .* differs from what was written/ },
    );
    const another = await encryptSecrets(environment, {
      ...options,
      id: 'x',
      secrets: 'auto',
      recipients: [],
      oneRunKey: await keyPair(),
    });
    assert.ok(another);
    const wrongKey = { ...another, identity: secrets.identity };
    await assert.rejects(
      storeEnclosure({ repository, manifest: aManifest({ tier: 'weekly' }) }, { ...options, enclosure: wrongKey }),
      { code: 'verify', message: /it cannot be decrypted/ },
    );
  });

  it('is copied with its snapshot, and the fingerprints of a copy of a copy still hold', async () => {
    using folder = temporaryDirectory();
    using elsewhere = temporaryDirectory();
    const repository = createRepository(createLocalStore({ directory: folder.path }));
    const other = createRepository(createLocalStore({ directory: elsewhere.path }));
    const { manifest, identity } = await putWithSecrets(repository);
    let latest = manifest;
    for (const [tier, to] of [
      ['weekly', repository],
      ['monthly', other],
    ] as const) {
      const base = aManifest({ tier, dataAt: '2026-01-02T00:00:00.000Z' });
      const from = latest.tier === 'monthly' ? other : repository;
      const target = { repository: to, tier, id: base.id };
      const { parts } = await copyParts({ from, to: target }, { ...options, source: latest, destination });
      const part = partOf({ parts }, 'secrets');
      assert.equal(part?.name, `${base.id}.secrets.env.age`);
      const fingerprints = fingerprintSecrets(environment, { snapshotId: base.id });
      latest = { ...base, parts, secrets: { fingerprints }, copiedFrom: snapshotName(latest) };
      assert.equal(await verifySecrets(to, { manifest: latest, identities: [identity], ...options }), 'decrypted');
      assert.deepEqual(compareFingerprints(latest, environment), { changed: [], missing: [], added: [] });
    }
    const { tier, id } = manifest;
    const to = { repository: other, tier, id };
    const same = await copyParts({ from: repository, to }, { ...options, source: manifest, destination });
    assert.deepEqual(same.parts, manifest.parts, 'the same snapshot in another store has the same parts');
  });

  it('that is lost does not stop the copy of its snapshot, and one that is damaged does', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const repository = createRepository(store);
    const { manifest } = await putWithSecrets(repository);
    const key = secretsKey(manifest);
    const copy = async (source: Manifest): Promise<Part | undefined> => {
      const to = { repository, tier: 'weekly', id: aManifest().id } as const;
      return partOf(await copyParts({ from: repository, to }, { ...options, source, destination }), 'secrets');
    };
    assert.equal(await copy({ ...manifest, parts: manifest.parts.slice(0, 1) }), undefined);
    assert.ok(await copy(manifest));
    await store.remove(key, { signal });
    assert.equal(await copy(manifest), undefined);
    await store.putDocument(key, Buffer.from('short'), { signal });
    await assert.rejects(copy(manifest), { code: 'verify', message: /has 5 bytes instead of/ });
  });
});

describe('the catalogue', () => {
  it('knows a secrets object, and whose is missing; it is neither foreign nor a reason for damage', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const repository = createRepository(store);
    const { manifest } = await putWithSecrets(repository);
    const whole = await readCatalogue(createRepository(store), { signal });
    assert.deepEqual([whole.snapshots, whole.foreign, whole.withoutSecrets], [[manifest], [], []]);
    await store.remove(secretsKey(manifest), { signal });
    const lost = await readCatalogue(createRepository(store), { signal });
    assert.deepEqual([lost.snapshots, lost.damaged, lost.withoutSecrets], [[manifest], [], [manifest]]);
  });

  it("takes no manifest that names another snapshot's secrets object: pruning it would remove that one", async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const repository = createRepository(store);
    const { manifest } = await putWithSecrets(repository);
    const own = aManifest({ dataAt: '2026-01-03T00:00:00.000Z' });
    const thief = { ...own, parts: [...own.parts, ...manifest.parts.slice(1)] };
    await store.putDocument(dumpKey(thief), Buffer.from('content'), { signal });
    await putManifest(store, thief);
    const { snapshots, unreadable } = await readCatalogue(createRepository(store), { signal });
    assert.deepEqual(snapshots, [manifest]);
    assert.match(unreadable[0]?.reason ?? '', /names '2026-01-01T.*secrets\.env\.age', which is not its own/);
  });
});

describe('the sweep', () => {
  it('removes a secrets object without a manifest when it is old, and no other', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const repository = createRepository(store);
    const { manifest } = await putWithSecrets(repository);
    const orphan = 'daily/2026-01-02T000000Z-aaaaaa.secrets.env.age' as ObjectKey;
    await store.putDocument(orphan, Buffer.from('left behind'), { signal });
    const law = { ...options, timeoutMs: 60_000, catalogue: await readCatalogue(repository, { signal }) };
    assert.deepEqual((await sweep(repository, { ...law, now: new Date() })).objects, []);
    const later = new Date(Date.now() + 3 * 86_400_000);
    assert.deepEqual((await sweep(repository, { ...law, now: later })).objects, [orphan]);
    assert.ok(await store.head(secretsKey(manifest), { signal }));
  });

  it('removes what a cut-off write left of anything that is ours, and nothing of others', async () => {
    using folder = temporaryDirectory();
    const repository = createRepository(createLocalStore({ directory: folder.path }));
    const ours = [
      'restore-1614abd8.sh',
      'mastodon-backup.place',
      'probe-0123456789abcdef.txt',
      'drills/2026-01-02T000000Z-aaaaaa.json',
      'daily/2026-01-02T000000Z-aaaaaa.dump.xz',
      'daily/2026-01-02T000000Z-aaaaaa.json',
    ];
    const others = ['notes.txt', 'restore-me.sh', 'drills/notes.json', 'elsewhere/restore-1614abd8.sh', 'daily/x.json'];
    const partialOf = (key: string): string =>
      path.join(folder.path, path.dirname(key), `.${path.basename(key)}.0123456789ab.partial`);
    for (const key of [...ours, ...others]) {
      mkdirSync(path.dirname(partialOf(key)), { recursive: true });
      writeFileSync(partialOf(key), 'half');
    }
    const law = { ...options, timeoutMs: 60_000, catalogue: await readCatalogue(repository, { signal }) };
    assert.deepEqual((await sweep(repository, { ...law, now: new Date() })).uploads, []);
    const later = new Date(Date.now() + 3 * 86_400_000);
    const { uploads } = await sweep(repository, { ...law, now: later });
    assert.deepEqual(uploads.toSorted(), ours.toSorted());
    assert.deepEqual(
      [...ours, ...others].filter((key) => existsSync(partialOf(key))),
      others,
    );
  });
});
