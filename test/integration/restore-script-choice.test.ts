// Which backup restore.sh and the kit's stock lines take, where somebody has put something into the place: the one that the program
// takes, and never an older one without a word.

import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { toSigningSettings } from '../../src/config/signing-keys.ts';
import { createSigningKey, parsePrivateKey, publicKeyLine } from '../../src/config/ssh-keys.ts';
import { restoreScript } from '../../src/kit/restore-script.ts';
import { checkObject, checkSignatures, findNewest, getManifests, getWithCurl } from '../../src/kit/stock-objects.ts';
import { shellQuote } from '../../src/kit/shell-word.ts';
import { commit, createDestination } from '../../src/snapshots/destination.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { aManifest, dumpKey, type SnapshotOverrides } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { createStockShell, type StockResult, type StockShell } from '../support/stock-tools.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const day = 86_400_000;
const key = createSigningKey('');
const signing = toSigningSettings({ key: parsePrivateKey(key.file), others: [] });
const signers = [publicKeyLine(key.publicKey)];
const access = {
  AWS_ACCESS_KEY_ID: 'test-key-id',
  AWS_SECRET_ACCESS_KEY: 'test-secret-key',
  no_proxy: '127.0.0.1',
};
const signal = AbortSignal.timeout(1_800_000);

/** A signed snapshot as a run leaves it. */
async function put(
  repository: Repository,
  overrides: SnapshotOverrides & { readonly dataAt: Date },
): Promise<Manifest> {
  const manifest = aManifest(overrides);
  const at = manifest.dataAt;
  await repository.store.putDocument(dumpKey(manifest), Buffer.from('content'), { signal });
  const name = path.basename(dumpKey(manifest));
  const destination = createDestination(repository, { tier: manifest.tier, name, partBytes: 8e6, verify: 'full' });
  await commit(destination, { manifest, method: 'full', now: () => at, signal, log: quietLog });
  return manifest;
}

const nameOf = ({ tier, id }: Manifest): string => `${tier}/${id}`;

function fresh(shell: StockShell): void {
  for (const file of readdirSync(shell.directory)) rmSync(path.join(shell.directory, file), { recursive: true });
  writeFileSync(path.join(shell.directory, 'restore.sh'), restoreScript);
  writeFileSync(path.join(shell.directory, 'allowed_signers'), `mastodon-backup ${signers[0]}\n`);
}

/** The script as far as it comes without a server. */
async function script(shell: StockShell, more: Readonly<Record<string, string>>): Promise<StockResult> {
  fresh(shell);
  return shell.run(['sh restore.sh'], { INSTANCE: 'social.example', PGHOST: '127.0.0.1', PGPORT: '9', ...more });
}

describe('of a directory', () => {
  const scratch = temporaryDirectory();
  const place = path.join(scratch.path, 'backups');
  const shell = createStockShell(scratch.path);
  let newest: Manifest;
  let older: Manifest;
  before(async () => {
    mkdirSync(place);
    const repository = createRepository(createLocalStore({ directory: place }), { signing });
    older = await put(repository, { dataAt: new Date(Date.now() - day) });
    newest = await put(repository, { dataAt: new Date(Date.now() - 60_000) });
  });
  after(() => scratch[Symbol.dispose]());

  /** What both took, and what they said of others. */
  async function taken(): Promise<{ readonly script: StockResult; readonly lines: StockResult }> {
    const byScript = await script(shell, { DIR: place });
    fresh(shell);
    const typed = [
      `WORK=$PWD FROM=${shellQuote(place)}`,
      ...checkSignatures(signers),
      ...findNewest('social.example', { isSigned: true }),
      'echo "taken: $MANIFEST"',
      ...checkObject,
    ];
    return { script: byScript, lines: await shell.run(typed, {}) };
  }

  async function assertTakes(
    manifest: Manifest,
  ): Promise<{ readonly script: StockResult; readonly lines: StockResult }> {
    const both = await taken();
    const { stdout } = both.script;
    assert.match(stdout, new RegExp(`^${nameOf(manifest)}, data of`, 'm'), stdout + both.script.stderr);
    assert.match(stdout, /^3\. Restore into/m);
    assert.match(both.lines.stdout, new RegExp(`^taken: ${nameOf(manifest)}\\.json$`, 'm'), both.lines.stderr);
    assert.match(both.lines.stdout, /^whole: .*\.dump$/m);
    return both;
  }

  const added: string[] = [];
  const copy = (from: string, to: string): void => {
    mkdirSync(path.dirname(path.join(place, to)), { recursive: true });
    copyFileSync(path.join(place, from), path.join(place, to));
    added.push(to);
  };
  afterEach(() => {
    for (const file of added.splice(0)) rmSync(path.join(place, file));
  });

  it('is the newest', async () => void (await assertTakes(newest)));

  it('is whole with what somebody has put beside it', async () => {
    for (const ending of ['dump.xz', 'dump.zst.age', 'dumpling', 'secrets.env.age', 'extra.tar.age'])
      copy(`${nameOf(older)}.json`, `${nameOf(newest)}.${ending}`);
    await assertTakes(newest);
  });

  it('is not a copy of an older one under a name of its own, which is said', async () => {
    for (const trap of ['yearly/9999-01-01T000000Z-ffffff', 'daily/9999-01-01T000000Z-ffffff', `yearly/${older.id}`]) {
      for (const ending of ['json', 'json.sig']) copy(`${nameOf(newest)}.${ending}`, `${trap}.${ending}`);
      const both = await assertTakes(newest);
      assert.match(both.script.stderr, new RegExp(`^${trap}\\.json is passed over: it is a copy of another one$`, 'm'));
      const named = await script(shell, { DIR: place, MANIFEST: `${trap}.json` });
      assert.notEqual(named.status, 0);
      assert.doesNotMatch(named.stdout, /^3\. /m);
    }
  });

  it("is none of another instance's, though it is named", async () => {
    const named = { DIR: place, MANIFEST: `${nameOf(older)}.json` };
    const one = await script(shell, named);
    assert.match(one.stdout, new RegExp(`^${nameOf(older)}, data of`, 'm'));
    const others = await script(shell, { ...named, INSTANCE: 'other.example' });
    assert.notEqual(others.status, 0);
    assert.match(others.stdout, /^It is a backup of social\.example, and not of other\.example$/m);
    const short = await script(shell, { ...named, MANIFEST: nameOf(older) });
    assert.notEqual(short.status, 0);
    assert.match(short.stdout, /ends in \.json$/m);
    for (const { stdout } of [others, short]) assert.doesNotMatch(stdout, /^[23]\. /m);
  });

  it('is of one place, and it is said where no signature is asked for, or something of an earlier backup is there', async () => {
    const both = await script(shell, { DIR: place, BUCKET: 'http://127.0.0.1:9/bucket' });
    assert.notEqual(both.status, 0);
    assert.match(both.stdout, /^Say where the backups are, by DIR or by BUCKET: both are set$/m);
    const signed = await script(shell, { DIR: place });
    assert.doesNotMatch(signed.stdout, /No signature|earlier|left as it is/);
    rmSync(path.join(shell.directory, 'allowed_signers'));
    writeFileSync(path.join(shell.directory, '.env.production.restored'), 'LOCAL_DOMAIN=before.example\n');
    mkdirSync(path.join(shell.directory, 'extra'));
    const again = await shell.run(['sh restore.sh'], {
      INSTANCE: 'social.example',
      PGHOST: '127.0.0.1',
      PGPORT: '9',
      DIR: place,
    });
    assert.match(again.stdout, /^No signature is checked: /m);
    assert.match(again.stdout, /^This backup has no settings: \.env\.production\.restored is of an earlier one$/m);
    assert.match(again.stdout, /^extra is left as it is/m);
    assert.match(again.stdout, /^3\. Restore into/m);
  });

  it('is not one that is dated in the future, which is said', async () => {
    const repository = createRepository(createLocalStore({ directory: place }), { signing });
    const soon = await put(repository, { dataAt: new Date(Date.now() + 2 * 60_000) });
    await assertTakes(soon);
    const ahead = await put(repository, { dataAt: new Date(Date.now() + 400 * day) });
    const both = await assertTakes(soon);
    assert.match(both.script.stderr, new RegExp(`^${nameOf(ahead)}\\.json is passed over: `, 'm'));
    assert.match(both.lines.stderr, new RegExp(`^passed over: ${nameOf(ahead)}\\.json, dated in the future$`, 'm'));
  });
});

describe('of a bucket', () => {
  const scratch = temporaryDirectory();
  const shell = createStockShell(scratch.path);
  let s3: S3TestServer;
  let curl: readonly string[];
  let newest: Manifest;
  before(async () => {
    s3 = await startS3();
    const repository = createRepository(s3.store(), { signing });
    await put(repository, { dataAt: new Date(Date.now() - 27 * day), tier: 'monthly' });
    newest = await put(repository, { dataAt: new Date(Date.now() - 60_000) });
    const { endpoint, bucket } = s3;
    curl = getWithCurl({ bucket, endpoint, region: 'us-east-1', prefix: '', provider: 'Other' });
  });
  after(async () => {
    await s3[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  const run = async (): Promise<StockResult> =>
    script(shell, { BUCKET: `${s3.endpoint}/${s3.bucket}`, REGION: 'us-east-1', ...access });

  it('is the newest behind pages that end with any key', async () => {
    const odd = ['%7E0000', '%2F', '+', ' ', ' a b ', '!a&b', '!<Key>c', '!"', "!'", '!%', '!ä€😀', '0=&start-after=z'];
    for (const name of odd) await s3.overwrite(`daily/${name}`, Buffer.from('x'));
    for (const pageSize of ['1', '2']) {
      s3.rule(({ query }) =>
        query.has('list-type') ? { kind: 'query', query: { 'max-keys': pageSize } } : { kind: 'pass' },
      );
      const { stdout, stderr } = await run();
      assert.match(stdout, new RegExp(`^${nameOf(newest)}, data of`, 'm'), stdout + stderr);
    }
    s3.rule(() => ({ kind: 'pass' }));
  });

  for (const [what, action] of [
    ['a page does not come', { kind: 'answer', status: 403, code: 'AccessDenied' }],
    [
      'a page does not say how it goes on',
      { kind: 'reply', status: 200, body: '<L><IsTruncated>true</IsTruncated></L>' },
    ],
  ] as const)
    it(`is none where ${what}, instead of an older one`, async () => {
      s3.rule(({ query }) => (query.get('prefix') === 'daily/' ? action : { kind: 'pass' }));
      const both = [await run(), await shell.run(['WORK=$PWD FROM=$PWD', ...curl, getManifests], access)];
      s3.rule(() => ({ kind: 'pass' }));
      for (const { status, stdout } of both) {
        assert.notEqual(status, 0);
        assert.doesNotMatch(stdout, /data of/);
      }
    });

  it('is asked for in addresses as what signs them wants them', async () => {
    const part = restoreScript.slice(restoreScript.indexOf('escaped() {'), restoreScript.indexOf('# keys TIER'));
    const odd = `${String.fromCharCode(...Array.from({ length: 94 }, (_, index) => index + 33))} ä€😀`;
    const { stdout } = await shell.run([`${part}\nescaped "$ODD"`], { ODD: odd });
    const wanted = encodeURIComponent(odd).replaceAll(
      /[!'()*]/g,
      (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`,
    );
    assert.equal(stdout, wanted);
  });
});
