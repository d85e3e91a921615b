// A bucket into which somebody has written who may: snapshots that look like ours in every way but that we did not sign. The same
// bucket is looked at without a key, where it is believed, and with one, where nothing of it counts and nothing of it is touched.

import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createSigningKey, parsePrivateKey, publicKeyLine } from '../../src/config/ssh-keys.ts';
import type { DrillDocument } from '../../src/drill/drill-record.ts';
import { encodeManifest, snapshotName, type Manifest } from '../../src/snapshots/manifest.ts';
import { buildDrillKey, createSnapshotId, manifestKey } from '../../src/snapshots/object-keys.ts';
import { signatureKey } from '../../src/snapshots/origin.ts';
import { createSignature } from '../../src/snapshots/sshsig.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { forge, readObject, readStoredManifest, type Forgery } from '../support/forgeries.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { sshKeygen } from '../support/stock-tools.ts';

type Settings = Readonly<Record<string, string>>;
const dayMs = 86_400_000;
const ago = (days: number): Date => new Date(Date.now() - days * dayMs);
const signal = AbortSignal.timeout(1_800_000);

describe('a bucket with forgeries in it', () => {
  let server: PostgresServer;
  let s3: S3TestServer;
  const scratch = temporaryDirectory();
  const made = createSigningKey('ours');
  const ourKey = parsePrivateKey(made.file);
  const theirKey = parsePrivateKey(createSigningKey('theirs').file);
  const keyFile = path.join(scratch.path, 'signing_key');
  let unsigned: Settings;
  let signed: Settings;
  let newest: string;
  let ours: Manifest[];
  /** Forged snapshots by what is wrong with them; the names of those that can be told. */
  const forged: Record<string, string> = {};
  let unreadable: string[];
  let objects: ReadonlyMap<string, string>;

  const run = async (settings: Settings): Promise<Manifest> => {
    const result = await runCommand(['run', '--json'], settings);
    assert.equal(result.status, 0, result.stderr);
    const { tier, id } = JSON.parse(result.stdout) as { tier: Manifest['tier']; id: string };
    return readStoredManifest(s3.store(), manifestKey('', { tier, id }));
  };
  const everything = async (): Promise<ReadonlyMap<string, string>> => {
    const content = new Map<string, string>();
    for (const key of await s3.keys()) content.set(key, (await readObject(s3.store(), key)).toString('base64'));
    return content;
  };
  const succeeds = async (args: readonly string[], settings: Settings): Promise<CommandResult> => {
    const result = await runCommand(args, settings);
    assert.equal(result.status, 0, result.stderr);
    return result;
  };
  interface Listed {
    readonly snapshots: readonly { readonly tier: string; readonly id: string }[];
    readonly unsigned: readonly { readonly tier: string; readonly id: string; readonly reason: string }[];
    readonly signedByOthers: readonly { readonly signer: string }[];
    readonly unreadable: readonly { readonly key: string }[];
    readonly damaged: readonly unknown[];
  }
  const list = async (settings: Settings): Promise<Listed> =>
    JSON.parse((await succeeds(['list', '--json'], settings)).stdout) as Listed;

  before(async () => {
    chmodSync(scratch.path, 0o755);
    server = await startPostgres({ major: 15 });
    await server.query('alter role mastodon createdb');
    s3 = await startS3();
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
    await createMastodonDatabase(server, { name: 'of_somebody_else', megabytes: 1 });
    await server.query(
      'create table of_somebody_else (); alter table of_somebody_else owner to mastodon',
      'of_somebody_else',
    );
    writeFileSync(keyFile, made.file, { mode: 0o600 });
    unsigned = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      ...s3.environment,
      LOCAL_DOMAIN: 'social.example',
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
      BACKUP_PG_BIN: linkPrograms(path.join(scratch.path, 'bin'), 15),
      BACKUP_COMPRESSION: 'none',
      BACKUP_RETENTION: 'off',
      BACKUP_SCHEDULE_YEARLY: '0 0 1 1 *',
      BACKUP_KEEP_DAILY: '7',
    };
    signed = { ...unsigned, BACKUP_SIGNING_KEY_FILE: keyFile };
    const store = s3.store();
    const byOurs = { signature: (content: Buffer): string => createSignature(content, ourKey) };

    // Ours: six of the days before, and one of today.
    const first = await run(signed);
    const dump = await readObject(store, `daily/${first.parts[0]?.name}`);
    const like = { like: first, content: dump, encryption: null } satisfies Omit<Forgery, 'at'>;
    ours = [first];
    for (const days of [1, 2, 3, 4, 5, 6]) ours.push(await forge(store, { ...like, at: ago(days), ...byOurs }));
    newest = snapshotName(first);

    // Theirs, all of them later.
    const elsewhere = {
      ...unsigned,
      ...databaseEnvironment(server.mastodon('of_somebody_else')),
      BACKUP_STATE_DIR: path.join(scratch.path, 'elsewhere'),
    };
    forged['unsigned, and newer'] = snapshotName(await run(elsewhere));
    const theirs = path.join(scratch.path, 'their_key');
    sshKeygen(['-q', '-t', 'ed25519', '-N', '', '-f', theirs]);
    forged['signed by somebody else'] = snapshotName(await run({ ...elsewhere, BACKUP_SIGNING_KEY_FILE: theirs }));
    const later = (seconds: number): Date => new Date(Date.now() + seconds * 1000);
    const put = async (what: string, forgery: Omit<Forgery, 'like'>): Promise<void> => {
      forged[what] = snapshotName(await forge(store, { like: first, ...forgery }));
    };
    const garbage = Buffer.alloc(49, 7);
    await put('of 49 bytes, marked as encrypted', { at: later(1), content: garbage, encryption: 'age' });
    await put('with our signature of another one', {
      ...like,
      at: later(2),
      signature: () => createSignature(encodeManifest(first), ourKey),
    });
    await put('signed by our key for something else', {
      ...like,
      at: later(3),
      signature: (content) => {
        const file = path.join(scratch.path, 'commit');
        writeFileSync(file, content);
        return sshKeygen(['-Y', 'sign', '-q', '-f', keyFile, '-n', 'git'], content);
      },
    });
    await put('with a signature of garbage', { ...like, at: later(4), signature: () => garbage });
    await put('with a signature of 2 MiB', { ...like, at: later(5), signature: () => Buffer.alloc(2 << 20, 65) });
    await put('with a signature of 100 KB', { ...like, at: later(5), signature: () => Buffer.alloc(100_000, 65) });
    await put('signed by their key under our name', {
      ...like,
      at: later(6),
      signature: (content) =>
        createSignature(content, { publicKey: ourKey.publicKey, privateKey: theirKey.privateKey }),
    });
    await put('of 2090', { ...like, at: new Date('2090-01-01T00:00:00Z') });
    await put('that silences a tier', { ...like, at: later(7), tier: 'yearly' });
    for (const seconds of [8, 9, 10, 11, 12, 13, 14])
      await put(`of a flood, ${seconds}`, { ...like, at: later(seconds) });

    // What cannot be read at all.
    const renamed = { tier: 'weekly' as const, id: first.id };
    for (const key of [manifestKey('', first), signatureKey(manifestKey('', first))]) {
      const target = key.replace('daily/', 'weekly/');
      await store.putDocument(target as ObjectKey, await readObject(store, key), { signal });
    }
    const silencing = await forge(store, {
      ...like,
      at: later(15),
      tier: 'monthly',
      changes: { slot: new Date('2099-01-01T00:00:00Z') },
    });
    unreadable = [manifestKey('', renamed), manifestKey('', silencing)].toSorted();
    objects = await everything();
  });
  after(async () => {
    await s3[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  it('is believed without a key', async () => {
    const { snapshots, unsigned: apart } = await list(unsigned);
    assert.equal(apart.length, 0);
    assert.equal(snapshots.length, ours.length + Object.keys(forged).length);
    const output = path.join(scratch.path, 'believed.dump');
    const { stdout } = await succeeds(['restore', 'latest', '--output', output], unsigned);
    assert.doesNotMatch(stdout, new RegExp(newest));
  });

  it('is listed apart, each with the reason, and ours alone are backups', async () => {
    const { snapshots, unsigned: apart, unreadable: garbled, damaged } = await list(signed);
    assert.deepEqual(snapshots.map(snapshotNameOf), ours.map(snapshotName));
    assert.deepEqual(apart.map(snapshotNameOf).toSorted(), Object.values(forged).toSorted());
    assert.deepEqual(garbled.map(({ key }) => key).toSorted(), unreadable);
    assert.deepEqual(damaged, []);
    const reason = (what: string): string | undefined =>
      apart.find((one) => snapshotNameOf(one) === forged[what])?.reason;
    assert.equal(reason('unsigned, and newer'), 'unsigned');
    assert.equal(reason('signed by somebody else'), 'stranger');
    for (const what of [
      'with our signature of another one',
      'signed by our key for something else',
      'with a signature of garbage',
      'with a signature of 2 MiB',
      'with a signature of 100 KB',
      'signed by their key under our name',
    ])
      assert.equal(reason(what), 'false', what);
    const { stdout } = await succeeds(['list'], signed);
    assert.match(stdout, /Not signed by anybody trusted here.*:\n/);
    assert.match(stdout, new RegExp(`${forged['signed by somebody else']} .* is signed by SHA256:\\S+, which is not`));
  });

  it('is read the same way by whoever has the public half alone, and who must not back up', async () => {
    const reader = { ...unsigned, BACKUP_TRUSTED_SIGNERS: publicKeyLine(made.publicKey) };
    const listed = await list(reader);
    assert.deepEqual(listed.snapshots.map(snapshotNameOf), ours.map(snapshotName));
    const { fingerprint } = made.publicKey;
    assert.deepEqual([...new Set(listed.signedByOthers.map(({ signer }) => signer))], [fingerprint]);
    assert.equal(listed.signedByOthers.length, ours.length);
    assert.match((await succeeds(['list'], reader)).stdout, /SIGNED BY(?:.*\n){2}.*\bours\b/);
    const own = await list(signed);
    assert.deepEqual(own.signedByOthers, [], 'what we signed ourselves is not marked');
    assert.doesNotMatch((await succeeds(['list'], signed)).stdout, /SIGNED BY/);
    const refused = await runCommand(['run'], reader);
    assert.equal(refused.status, 2, refused.stderr);
    assert.match(refused.stderr, /would count for nothing.*mastodon-backup keygen/s);
  });

  it('gives ours to restore, to verify, to drill and to the recovery kit, and says what was passed over', async () => {
    const restored = await succeeds(['restore', 'latest', '--to-database', 'restored', '--json'], signed);
    assert.match(restored.stdout, new RegExp(`"snapshot": "${newest}"`));
    assert.match(restored.stderr, new RegExp(`${forged['unsigned, and newer']}, was passed over: it is not signed`));
    const rows = await server.query("select to_regclass('of_somebody_else') is null as ours", 'restored');
    assert.deepEqual(rows, [{ ours: true }]);
    const verified = await succeeds(['verify', '--json'], signed);
    assert.match(verified.stdout, new RegExp(newest));
    const drilled = await succeeds(['drill', '--json'], signed);
    assert.match(drilled.stdout, new RegExp(`"snapshot": "${newest}"[^]*"status": "passed"`));
    assert.match((await succeeds(['recovery-kit'], signed)).stdout, new RegExp(newest));
  });

  it('is neither restored nor drilled nor verified by its name, unless that is accepted', async () => {
    for (const what of ['unsigned, and newer', 'signed by somebody else', 'with our signature of another one']) {
      const name = forged[what] ?? '';
      for (const args of [
        ['restore', name, '--output', path.join(scratch.path, 'x')],
        ['drill', name],
        ['verify', name],
      ]) {
        const refused = await runCommand(args, signed);
        assert.equal(refused.status, 2, `${args[0]}: ${refused.stderr}`);
        assert.match(refused.stderr, /counts for nothing: it (is not signed|is signed by|has a signature)/);
        assert.match(refused.stderr, /mastodon-backup adopt .*--accept-unsigned/s);
      }
    }
    const name = forged['unsigned, and newer'] ?? '';
    const output = path.join(scratch.path, 'accepted.dump');
    const accepted = await succeeds(['restore', name, '--output', output, '--accept-unsigned'], signed);
    assert.match(accepted.stderr, /is not signed; it is taken all the same/);
  });

  it('neither silences a tier nor counts for health, nor does a drill that never was', async () => {
    await using app = openApp({ ...signed, BACKUP_STATE_DIR: path.join(scratch.path, 'new-state') });
    const { snapshots } = await app.lookAround({ startedAt: new Date(0), signal });
    assert.deepEqual(
      (snapshots ?? []).map(({ dataAt }) => dataAt),
      ours.map(({ dataAt }) => dataAt),
    );
    const health = await app.health();
    assert.equal(health.tiers['yearly']?.lastSuccessAt, null);
    assert.equal(health.tiers['daily']?.lastSuccessAt, ours[0]?.committedAt.toISOString());
    await app.drillIfDue(signal);
    const { drill } = (await app.remembered()).attempts;
    assert.equal(drill?.snapshot, newest);
    assert.equal(drill?.status, 'passed', drill?.findings.join('\n'));
    assert.notEqual(drill?.durationMs, 1);
    // A drill that never was, newer than the one that was.
    const at = new Date();
    const id = createSnapshotId(at);
    const record: DrillDocument = {
      format: 1,
      id,
      instance: 'social.example',
      tool: { version: '0.0.0' },
      snapshot: newest,
      dataAt: at.toISOString(),
      startedAt: at.toISOString(),
      endedAt: at.toISOString(),
      status: 'passed',
      durationMs: 1,
      serverVersion: '15',
      checks: [],
    };
    await s3.store().putDocument(buildDrillKey({ prefix: '', id }), Buffer.from(JSON.stringify(record)), { signal });
    // Its own record is signed, and is believed where nothing is remembered; the forged one is where signatures do not count.
    for (const [settings, isForged] of [
      [signed, false],
      [unsigned, true],
    ] as const) {
      await using other = openApp({ ...settings, BACKUP_STATE_DIR: path.join(scratch.path, `recalling-${isForged}`) });
      assert.equal((await other.drillIfDue(signal)).kind, 'waits');
      const recalled = (await other.remembered()).attempts.drill;
      assert.equal(recalled?.durationMs === 1, isForged);
    }
  });

  it('is not copied, neither to a destination that missed it nor into a coarser tier', async () => {
    const nas = temporaryDirectory();
    using _nas = nas;
    const settings = { ...signed, BACKUP_LOCAL_DIR: nas.path, BACKUP_STATE_DIR: path.join(scratch.path, 'mending') };
    await using app = openApp(settings);
    while (await app.mend(signal));
    const { snapshots } = await app.list({ from: 'local', tier: null, signal });
    assert.deepEqual(snapshots.map(snapshotName), [newest]);
    const weekly = await app.runScheduled({ tier: 'weekly', slot: new Date(), signal, onProgress: () => undefined });
    assert.equal(weekly?.copiedFrom, newest);
  });

  it('is never removed, and makes nothing of ours go', async () => {
    const pruning = { ...signed, BACKUP_RETENTION: 'prune' };
    const kept = await succeeds(['prune', '--json'], pruning);
    const { destinations } = JSON.parse(kept.stdout) as { destinations: { removed: readonly unknown[] }[] };
    assert.deepEqual(
      destinations.map(({ removed }) => removed),
      [[]],
    );
    await succeeds(['prune'], { ...pruning, BACKUP_KEEP_DAILY: '3' });
    const left = await everything();
    const gone = [...objects.keys()].filter((key) => !left.has(key));
    // Manifest, signature and dump of the four oldest of ours.
    assert.deepEqual(
      gone,
      ours
        .slice(3)
        .flatMap((one) => ['.dump', '.json', '.json.sig'].map((end) => `daily/${one.id}${end}`))
        .toSorted(),
    );
    for (const [key, content] of objects) if (left.has(key)) assert.equal(left.get(key), content, key);
  });
});

function snapshotNameOf({ tier, id }: { readonly tier: string; readonly id: string }): string {
  return `${tier}/${id}`;
}
