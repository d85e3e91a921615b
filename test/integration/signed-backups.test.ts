// Signed backups from the first day: what was there before is adopted, a copy is signed anew, the recovery kit's stock commands take
// ours and pass over what somebody else has put there, and doctor says all of it.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseSigningKey } from '../../src/config/signing-keys.ts';
import { createSigningKey, parsePrivateKey, publicKeyLine } from '../../src/config/ssh-keys.ts';
import { findDue } from '../../src/schedule/due.ts';
import { dumpOf, encodeManifest, snapshotName, type Manifest } from '../../src/snapshots/manifest.ts';
import { manifestKey } from '../../src/snapshots/object-keys.ts';
import { createSignature } from '../../src/snapshots/sshsig.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { openApp } from '../support/app.ts';
import { databaseEnvironment, runCommand, type CommandResult } from '../support/command.ts';
import { forge, readObject, readStoredManifest } from '../support/forgeries.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { startS3 } from '../support/s3-server.ts';
import { commandBlocks, createStockShell } from '../support/stock-tools.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

type Settings = Readonly<Record<string, string>>;
interface Found {
  readonly check: string;
  readonly status: string;
  readonly detail: string;
}

describe('signed backups', () => {
  let server: PostgresServer;
  const scratch = temporaryDirectory();
  const made = createSigningKey('mastodon-backup@social.example');
  const keyFile = path.join(scratch.path, 'signing_key');
  let count = 0;
  before(async () => {
    server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
    writeFileSync(keyFile, made.file, { mode: 0o600 });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  /** A directory of its own, with settings without a key and with one. */
  const place = (): { readonly directory: string; readonly unsigned: Settings; readonly signed: Settings } => {
    count += 1;
    const directory = path.join(scratch.path, `backups-${count}`);
    mkdirSync(directory);
    const unsigned = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      LOCAL_DOMAIN: 'social.example',
      BACKUP_LOCAL_DIR: directory,
      BACKUP_STATE_DIR: path.join(scratch.path, `state-${count}`),
      BACKUP_COMPRESSION: 'none',
      BACKUP_SECRETS: 'off',
    };
    return { directory, unsigned, signed: { ...unsigned, BACKUP_SIGNING_KEY_FILE: keyFile } };
  };
  const succeeds = async (args: readonly string[], settings: Settings): Promise<CommandResult> => {
    const result = await runCommand(args, settings);
    assert.equal(result.status, 0, result.stderr);
    return result;
  };
  const run = async (directory: string, settings: Settings): Promise<Manifest> => {
    const { stdout } = await succeeds(['run', '--json'], settings);
    const { tier, id } = JSON.parse(stdout) as { tier: Manifest['tier']; id: string };
    return readStoredManifest(createLocalStore({ directory }), manifestKey('', { tier, id }));
  };
  const listed = async (settings: Settings): Promise<readonly string[]> => {
    const { stdout } = await succeeds(['list', '--json'], settings);
    return (JSON.parse(stdout) as { snapshots: { tier: string; id: string }[] }).snapshots.map(
      ({ tier, id }) => `${tier}/${id}`,
    );
  };
  const doctor = async (settings: Settings, check: string): Promise<string> => {
    const { stdout } = await runCommand(['doctor', '--json'], settings);
    return (JSON.parse(stdout) as Found[])
      .filter((one) => one.check === check)
      .map(({ status, detail }) => `${status} ${detail}`)
      .join('\n');
  };

  it('begin with a key that goes to stdout alone, or into a new file for its owner', async () => {
    const { stdout, stderr } = await succeeds(['keygen'], {});
    const { publicKey } = parseSigningKey(stdout);
    assert.match(stdout, /^-----BEGIN OPENSSH PRIVATE KEY-----\n[^]*\n-----END OPENSSH PRIVATE KEY-----\n$/);
    assert.ok(stderr.includes(publicKeyLine(publicKey)), stderr);
    const file = path.join(scratch.path, 'new_key');
    const written = await succeeds(['keygen', '--output', file], { LOCAL_DOMAIN: 'social.example' });
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.equal(readFileSync(`${file}.pub`, 'utf8'), `${written.stdout.trimEnd().split('\n').at(-1)}\n`);
    assert.match(written.stdout, /mastodon-backup@social\.example$/m);
    const again = await runCommand(['keygen', '--output', file], {});
    assert.equal(again.status, 2, again.stderr);
    assert.match(again.stderr, /exists/);
  });

  it('are made anew at once by a daemon that was given a key, and are late for nothing before', async () => {
    const { directory, unsigned, signed } = place();
    await run(directory, unsigned);
    await using app = openApp(signed);
    const signal = AbortSignal.timeout(120_000);
    const { snapshots } = await app.lookAround({ startedAt: new Date(), signal });
    assert.deepEqual(snapshots, []);
    assert.deepEqual(findDue(app.timetable(), { snapshots: snapshots ?? [], now: new Date() }), [
      { tier: 'daily', slot: null },
    ]);
    assert.equal((await app.health()).status, 'starting');
  });

  it('are what was there before the key once it is adopted, by name or all, and nothing that is not whole', async () => {
    const { directory, unsigned, signed } = place();
    const [first, second, third] = [
      await run(directory, unsigned),
      await run(directory, unsigned),
      await run(directory, unsigned),
    ];
    assert.deepEqual(await listed(signed), []);
    const noKey = await runCommand(['adopt', '--all'], unsigned);
    assert.equal(noKey.status, 2);
    assert.match(noKey.stderr, /mastodon-backup keygen/);
    assert.equal((await runCommand(['adopt'], signed)).status, 2);
    assert.equal((await runCommand(['adopt', 'daily/2026-01-01T000000Z-aaaaaa'], signed)).status, 4);
    const one = await succeeds(['adopt', snapshotName(first)], signed);
    assert.match(one.stdout, new RegExp(`^${snapshotName(first)} in .*: read back, decoded to the end, signed$`, 'm'));
    assert.deepEqual(await listed(signed), [snapshotName(first)]);
    // One that is not what it says, and one with a signature that is none.
    const file = path.join(directory, 'daily', dumpOf(second).name);
    const content = readFileSync(file);
    chmodSync(file, 0o600);
    writeFileSync(file, Buffer.concat([content.subarray(0, -1), Buffer.from('x')]));
    writeFileSync(path.join(directory, 'daily', `${third.id}.json.sig`), Buffer.alloc(100_000, 65));
    const all = await runCommand(['adopt', '--all', '--json'], signed);
    assert.equal(all.status, 13, all.stderr);
    const adoptions = JSON.parse(all.stdout) as { snapshot: string; adopted: boolean; problem: string | null }[];
    assert.deepEqual(
      adoptions.map(({ snapshot, adopted }) => [snapshot, adopted]),
      [
        [snapshotName(third), true],
        [snapshotName(second), false],
      ],
    );
    assert.deepEqual(await listed(signed), [third, first].map(snapshotName));
    assert.match(
      await doctor(signed, 'signatures'),
      new RegExp(`^ok signed by SHA256:.*\nwarning .*${snapshotName(second)} is not signed`),
    );
  });

  it('are not what somebody else has signed, who can be trusted instead', async () => {
    const { directory, unsigned, signed } = place();
    const other = createSigningKey('another machine');
    const otherFile = path.join(scratch.path, 'other_key');
    writeFileSync(otherFile, other.file, { mode: 0o600 });
    const theirs = await run(directory, { ...unsigned, BACKUP_SIGNING_KEY_FILE: otherFile });
    const refused = await runCommand(['adopt', '--all'], signed);
    assert.equal(refused.status, 13, refused.stderr);
    assert.match(refused.stdout, /NOT adopted: it is signed by SHA256:.*BACKUP_TRUSTED_SIGNERS/);
    const trusting = { ...signed, BACKUP_TRUSTED_SIGNERS: publicKeyLine(other.publicKey) };
    assert.deepEqual(await listed(trusting), [snapshotName(theirs)]);
  });

  it('are hashed alone where they are encrypted and nobody can open them, which is said', async () => {
    const { directory, unsigned, signed } = place();
    const recipients = { BACKUP_AGE_RECIPIENTS: 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p' };
    await run(directory, { ...unsigned, ...recipients });
    const adopted = await succeeds(['adopt', '--all'], { ...signed, ...recipients });
    assert.match(adopted.stdout, /hash right, signed; NOT decoded: it is encrypted/);
  });

  it('are signed anew as copies, and go with their signature', async () => {
    const { directory, signed } = place();
    const source = await run(directory, signed);
    await using app = openApp(signed);
    const signal = AbortSignal.timeout(120_000);
    const copied = await app.runScheduled({ tier: 'weekly', slot: new Date(), signal, onProgress: () => undefined });
    assert.equal(copied?.copiedFrom, snapshotName(source));
    assert.deepEqual((await listed(signed)).toSorted(), [snapshotName(source), `weekly/${copied.id}`]);
  });

  it('are swept with the dump when a run was cut off between the signature and the manifest', async () => {
    const { directory, signed } = place();
    const manifest = await run(directory, signed);
    const left = '2026-01-01T000000Z-aaaaaa';
    for (const end of ['.dump', '.json.sig']) {
      const file = path.join(directory, 'daily', `${left}${end}`);
      writeFileSync(file, 'x');
      utimesSync(file, new Date('2026-01-01'), new Date('2026-01-01'));
    }
    assert.deepEqual(await listed(signed), [snapshotName(manifest)]);
    await run(directory, signed);
    assert.deepEqual(
      readdirSync(path.join(directory, 'daily')).filter((name) => name.startsWith(left)),
      [],
    );
  });

  it('are told by doctor to who has none, and a key that everybody can read is too', async () => {
    const { unsigned, signed } = place();
    assert.match(await doctor(unsigned, 'signatures'), /^warning backups are not signed/);
    assert.equal(await doctor(signed, 'secret files'), '');
    const open = path.join(scratch.path, 'open_key');
    writeFileSync(open, made.file, { mode: 0o644 });
    const warned = await doctor({ ...signed, BACKUP_SIGNING_KEY_FILE: open }, 'secret files');
    assert.match(warned, /^warning BACKUP_SIGNING_KEY_FILE, .*open_key, may be read by everybody \(mode 0644\)/);
    const reading = { ...unsigned, BACKUP_TRUSTED_SIGNERS: publicKeyLine(made.publicKey) };
    assert.match(await doctor(reading, 'signatures'), /^problem .*would count for nothing/);
  });

  it('never show their key, whatever is printed', async () => {
    const { signed, unsigned } = place();
    const lines = made.file.split('\n').slice(1, -2);
    for (const settings of [signed, { ...unsigned, BACKUP_SIGNING_KEY: made.file.replaceAll('\n', ' ') }]) {
      for (const args of [['config'], ['config', '--json'], ['doctor'], ['recovery-kit'], ['run']]) {
        const { stdout, stderr } = await runCommand(args, { ...settings, BACKUP_LOG_LEVEL: 'trace' });
        for (const line of lines) assert.ok(!`${stdout}${stderr}`.includes(line), `${args.join(' ')}: ${line}`);
      }
    }
  });

  it("are found by the recovery kit's stock commands, which pass over what nobody trusted has signed", async () => {
    const { directory, unsigned, signed } = place();
    const ours = await run(directory, signed);
    const store = createLocalStore({ directory });
    const content = await readObject(store, `daily/${dumpOf(ours).name}`);
    const like = { like: ours, content, encryption: null };
    await forge(store, { ...like, at: new Date(Date.now() + 60_000) });
    await forge(store, {
      ...like,
      at: new Date(Date.now() + 61_000),
      signature: (document) => createSignature(document, parsePrivateKey(createSigningKey('theirs').file)),
    });
    await forge(store, {
      ...like,
      at: new Date(Date.now() + 62_000),
      signature: () => createSignature(encodeManifest(ours), parsePrivateKey(made.file)),
    });
    const shell = createStockShell(scratch.path);
    const find = async (settings: Settings): Promise<string> => {
      const blocks = commandBlocks((await succeeds(['recovery-kit'], settings)).stdout);
      const lines = blocks
        .filter(({ heading, label }) => heading.startsWith('Step 2') || label.startsWith('Where you are'))
        .flatMap((one) => one.lines);
      const result = await shell.run([...lines, 'echo "$MANIFEST"'], {});
      assert.equal(result.status, 0, result.stderr);
      return result.stdout;
    };
    const found = await find(signed);
    assert.match(found, new RegExp(`^daily/${ours.id}\\.json$`, 'm'));
    assert.match(found, /^Good "mastodon-backup" signature for mastodon-backup with ED25519 key SHA256:/m);
    assert.match(found, /^whole: /m);
    assert.doesNotMatch(await find(unsigned), new RegExp(`^daily/${ours.id}\\.json$`, 'm'));
    rmSync(path.join(directory, 'daily', `${ours.id}.json.sig`));
  });

  it('come out of a bucket with their signature by each stock client', async (t) => {
    await using s3 = await startS3();
    const settings = {
      ...databaseEnvironment(server.mastodon('mastodon_production')),
      ...s3.environment,
      LOCAL_DOMAIN: 'social.example',
      BACKUP_STATE_DIR: path.join(scratch.path, 'state-bucket'),
      BACKUP_COMPRESSION: 'none',
      BACKUP_SIGNING_KEY_FILE: keyFile,
    };
    await succeeds(['run'], settings);
    const blocks = commandBlocks((await succeeds(['recovery-kit'], settings)).stdout);
    const lines = (label: RegExp): readonly string[] => blocks.find((one) => label.test(one.label))?.lines ?? [];
    for (const [tool, label] of [
      ['aws', /with the AWS client/],
      ['rclone', /^or with rclone/],
      ['curl', /with curl alone/],
    ] as const) {
      using folder = temporaryDirectory();
      const shell = createStockShell(folder.path);
      if (!shell.has(tool)) {
        t.diagnostic(`${tool} is not installed`);
        continue;
      }
      const typed = [
        ...lines(/^Where you are/),
        ...lines(label),
        ...lines(/^Get the manifests/),
        ...lines(/^Only what one of these keys/),
        ...lines(/set MANIFEST to another one/),
        ...lines(/^Whose signature it has/),
        ...lines(/^Get its objects/),
        ...lines(/^Is the dump whole/),
      ];
      const result = await shell.run(typed, {
        AWS_ACCESS_KEY_ID: s3.environment['BACKUP_S3_ACCESS_KEY_ID'] ?? '',
        AWS_SECRET_ACCESS_KEY: s3.environment['BACKUP_S3_SECRET_ACCESS_KEY'] ?? '',
      });
      assert.equal(result.status, 0, `${tool}: ${result.stderr}`);
      assert.match(result.stdout, /^Good "mastodon-backup" signature[^]*^whole: /m, tool);
    }
  });
});
