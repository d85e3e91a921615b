// One bad thing never hides the good ones: a manifest that nobody may read, a tier that is not listed, a name with something
// else behind it. What is there besides is listed, chosen, read back, kept and added to, and what could not be seen is said.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { App } from '../../src/app/app.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { sweep } from '../../src/snapshots/deletion-law.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { openApp } from '../support/app.ts';
import { runCommand, type CommandResult } from '../support/command.ts';
import { aManifest, dumpKey, putSnapshot } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import type { DoorAction, SeenRequest } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { startUser, type User } from '../support/user.ts';
import { startStage, type FaultStage } from './support.ts';

const signal = AbortSignal.timeout(1_800_000);
/** Somebody who is not root, and whom no file belongs to. */
const nobody = 65_534;
const latest = { snapshot: 'latest', from: null, instance: null, identities: [], signal, onProgress: () => undefined };

describe('a manifest that the bucket does not give', () => {
  let stage: FaultStage;
  let older: string;
  let newer: string;
  let states = 0;
  before(async () => {
    stage = await startStage({ megabytes: 1 });
    const run = async (): Promise<string> => {
      const { status, stdout, stderr } = await runCommand(['run', '--json'], stage.environment);
      assert.equal(status, 0, stderr);
      return (JSON.parse(stdout) as { id: string }).id;
    };
    older = await run();
    newer = await run();
  });
  after(async () => stage[Symbol.asyncDispose]());

  /** An app that remembers nothing and has little patience. */
  function open(lines: string[] = []): App {
    states += 1;
    return openApp(
      { ...stage.environment, BACKUP_STATE_DIR: path.join(stage.scratch, `lost-${states}`), BACKUP_KEEP_DAILY: '1' },
      {
        lines,
        patience: { maxAttempts: 2, socketTimeoutMs: 400, patientTimeoutMs: 10_000 },
        readPatience: { attempts: 2, pauseMs: 10 },
      },
    );
  }

  const refuse =
    (action: DoorAction, methods: readonly string[]) =>
    ({ method, path: key }: SeenRequest): DoorAction =>
      key.endsWith(`${newer}.json`) && methods.includes(method) ? action : { kind: 'pass' };
  const error = (status: number, code: string): DoorAction => ({ kind: 'answer', status, code });
  const both = ['GET', 'HEAD'];
  for (const { what, action, methods, says } of [
    { what: 'refused', action: error(403, 'AccessDenied'), methods: both, says: /access is denied/ },
    { what: 'archived', action: error(403, 'InvalidObjectState'), methods: ['GET'], says: /archive/ },
    { what: 'answered with 500', action: error(500, 'InternalError'), methods: both, says: /errors of its own/ },
    { what: 'dropped', action: { kind: 'drop' } as const, methods: both, says: /broke off/ },
    { what: 'never answered', action: { kind: 'hang' } as const, methods: both, says: /does not answer in time/ },
    {
      what: 'cut short',
      action: { kind: 'cut', afterBytes: 10 } as const,
      methods: ['GET'],
      says: /broke off|bytes came/,
    },
  ]) {
    it(`is unreadable when it is ${what}, and hides no other`, async () => {
      stage.s3.rule(refuse(action, methods));
      const lines: string[] = [];
      try {
        await using app = open(lines);
        const { snapshots, unreadable } = await app.list({ from: null, tier: null, signal });
        assert.ok(snapshots.some(({ id }) => id === older) && !snapshots.some(({ id }) => id === newer));
        assert.deepEqual(
          unreadable.map(({ id }) => id),
          [newer],
        );
        assert.match(unreadable[0]?.reason ?? '', says);
        // The newest that can be read, and that another is newer is said.
        assert.notEqual((await app.verify(latest)).manifest.id, newer);
        const output = path.join(stage.scratch, `${what}.dump`);
        assert.notEqual((await app.restoreFile({ ...latest, output })).snapshot, `daily/${newer}`);
        rmSync(output);
        assert.match(lines.join(''), new RegExp(`daily/${newer}, was passed over: it cannot be read`));
        const [pruned] = await app.prune({ dryRun: true, acceptNewServer: false, signal });
        assert.equal(pruned?.error, null);
        assert.ok(!pruned.plan?.remove.some(({ id }) => id === newer));
      } finally {
        stage.s3.rule(() => ({ kind: 'pass' }));
      }
    });
  }

  it('does not keep a run from making a backup, nor its retention from ending', async () => {
    stage.s3.rule(refuse(error(500, 'InternalError'), both));
    try {
      await using app = open();
      const request = {
        purpose: { kind: 'by hand', tier: 'weekly' },
        wait: false,
        signal,
        onProgress: () => undefined,
      } as const;
      const { outcomes, prunedCount } = await app.run(request);
      assert.deepEqual(
        outcomes.map(({ kind }) => kind),
        ['stored'],
      );
      assert.equal(prunedCount, 0);
      assert.doesNotMatch((await app.health()).warnings.join(), /cannot be read/);
    } finally {
      stage.s3.rule(() => ({ kind: 'pass' }));
    }
  });

  it('does not keep a drill from the newest one that is given', async () => {
    stage.s3.rule(refuse(error(403, 'AccessDenied'), both));
    const lines: string[] = [];
    try {
      await using app = open(lines);
      const drilled = await app.drill({ ...latest, snapshot: 'latest:daily', wait: false });
      assert.deepEqual(
        [drilled.snapshot, drilled.status],
        [`daily/${older}`, 'passed'],
        JSON.stringify(drilled.checks),
      );
      assert.match(lines.join(''), new RegExp(`daily/${newer}, was passed over: it cannot be read`));
    } finally {
      stage.s3.rule(() => ({ kind: 'pass' }));
    }
  });

  for (const status of [403, 500]) {
    it(`nor does a tier whose listing is answered with ${status}: it is said, nothing is removed there, and a run goes on`, async () => {
      const isDaily = ({ query }: SeenRequest): boolean => query.get('prefix') === 'daily/';
      stage.s3.rule((request) => (isDaily(request) ? error(status, 'Refused') : { kind: 'pass' }));
      const lines: string[] = [];
      try {
        await using app = open(lines);
        const request = {
          purpose: { kind: 'by hand', tier: 'weekly' },
          wait: false,
          signal,
          onProgress: () => undefined,
        } as const;
        const { outcomes, id } = await app.run(request);
        assert.deepEqual(
          outcomes.map(({ kind }) => kind),
          ['stored'],
        );
        const { snapshots, unlisted } = await app.list({ from: null, tier: null, signal });
        assert.ok(snapshots.length > 0 && snapshots.every(({ tier }) => tier === 'weekly'));
        assert.deepEqual(
          unlisted.map(({ key, isTier }) => [key, isTier]),
          [['daily/', true]],
        );
        assert.equal((await app.verify(latest)).manifest.id, id);
        assert.match(lines.join(''), /The tier daily could not be seen, and a newer snapshot may be there/);
        await assert.rejects(app.verify({ ...latest, snapshot: older }), /what is in 'daily' could not be seen/);
        await assert.rejects(app.list({ from: null, tier: 'daily', signal }), { code: 'store' });
        const [pruned] = await app.prune({ dryRun: true, acceptNewServer: false, signal });
        assert.ok(pruned?.plan?.holds.some(({ tier }) => tier === 'daily'));
        assert.match((await app.health()).warnings.join(), /daily/);
        const named = await app.verify({ ...latest, snapshot: `daily/${older}` });
        assert.equal(named.manifest.id, older, 'what is named in full is asked for alone');
      } finally {
        stage.s3.rule(() => ({ kind: 'pass' }));
      }
    });
  }

  it('lets nothing be stored in the clear where encrypted backups may be out of sight', async () => {
    const hidden = ['daily/', 'weekly/'];
    stage.s3.rule(({ query }) =>
      hidden.includes(query.get('prefix') ?? '') ? error(403, 'AccessDenied') : { kind: 'pass' },
    );
    try {
      await using app = open();
      const request = {
        purpose: { kind: 'by hand', tier: 'yearly' },
        wait: false,
        signal,
        onProgress: () => undefined,
      } as const;
      await assert.rejects(app.run(request), { code: 'store', message: /unencrypted.*'daily\/' could not be listed/ });
    } finally {
      stage.s3.rule(() => ({ kind: 'pass' }));
    }
  });

  it('does not hide that the store lists nothing at all', async () => {
    stage.s3.rule(({ query }) => (query.has('list-type') ? error(403, 'AccessDenied') : { kind: 'pass' }));
    try {
      await using app = open();
      await assert.rejects(app.list({ from: null, tier: null, signal }), { reason: 'access-denied' });
    } finally {
      stage.s3.rule(() => ({ kind: 'pass' }));
    }
  });
});

describe('a directory of backups', () => {
  const scratch = temporaryDirectory();
  let stage: FaultStage;
  let user: User;
  before(async () => {
    stage = await startStage({ megabytes: 1 });
    chmodSync(scratch.path, 0o755);
    user = startUser(nobody);
  });
  after(async () => {
    user[Symbol.dispose]();
    await stage[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  interface Place {
    readonly directory: string;
    readonly good: Manifest;
    /** One for each replacement, by what it is. */
    readonly bad: ReadonlyMap<string, Manifest>;
    /** Runs a command as somebody who is not root. */
    readonly command: (...args: readonly string[]) => Promise<CommandResult>;
    /** Runs a command as root. */
    readonly asRoot: (...args: readonly string[]) => Promise<CommandResult>;
  }

  let places = 0;
  async function make(): Promise<Place> {
    places += 1;
    const directory = path.join(scratch.path, `backups-${places}`);
    mkdirSync(directory);
    const store = createLocalStore({ directory });
    const at = (days: number): Date => new Date(Date.now() - days * 86_400_000);
    const good = await putSnapshot(store, { dataAt: at(10) });
    const bad = new Map<string, Manifest>();
    for (const { what } of replacements) bad.set(what, await putSnapshot(store, { dataAt: at(5) }));
    for (const name of ['', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })])
      chownSync(path.join(directory, name), nobody, nobody);
    const { BACKUP_S3_BUCKET: _bucket, ...others } = stage.environment;
    const environment = {
      ...Object.fromEntries(Object.entries(others).filter(([name]) => !name.startsWith('BACKUP_S3_'))),
      BACKUP_LOCAL_DIR: directory,
      BACKUP_STATE_DIR: path.join(directory, '..', `state-${places}`),
      LOCAL_DOMAIN: 'social.example',
    };
    mkdirSync(environment.BACKUP_STATE_DIR, { mode: 0o700 });
    chownSync(environment.BACKUP_STATE_DIR, nobody, nobody);
    return {
      directory,
      good,
      bad,
      command: async (...args) => user.run(args, environment),
      asRoot: async (...args) => runCommand(args, environment),
    };
  }

  /** Puts something else in the place of a file. */
  type Replace = (file: string) => void | Promise<void>;
  const replacements: readonly { readonly what: string; readonly replace: Replace; readonly says: RegExp }[] = [
    {
      what: 'may not be read',
      says: /permission denied \(owner 0:0, mode 0600\)/,
      replace: (file) => {
        writeFileSync(file, 'content');
        chownSync(file, 0, 0);
        chmodSync(file, 0o600);
      },
    },
    { what: 'is a directory', says: /is a directory, where a file should be/, replace: (file) => mkdirSync(file) },
    {
      what: 'is a link that leads nowhere',
      says: /is a symbolic link, where a file should be/,
      replace: (file) => symlinkSync('/not/there', file),
    },
    {
      what: 'is a link to itself',
      says: /is a symbolic link, where a file should be/,
      replace: (file) => symlinkSync(path.basename(file), file),
    },
    {
      what: 'is a named pipe',
      says: /is a named pipe, where a file should be/,
      replace: (file) => void execFileSync('mkfifo', [file]),
    },
    {
      what: 'is a socket',
      says: /is a socket, where a file should be/,
      replace: async (file) => {
        const server = createServer();
        await new Promise<void>((resolve) => {
          server.listen(path.join(scratch.path, 's'), resolve);
        });
        // A socket by that name outlives its server.
        execFileSync('mv', [path.join(scratch.path, 's'), file]);
        await new Promise((resolve) => server.close(resolve));
      },
    },
  ];

  async function put(file: string, replace: Replace): Promise<void> {
    rmSync(file);
    await replace(file);
  }

  it('has an unreadable manifest where something else is in its place, and everything else goes on', async () => {
    const { directory, good, bad, command } = await make();
    for (const { what, replace } of replacements)
      await put(path.join(directory, 'daily', `${bad.get(what)?.id}.json`), replace);
    const listed = await command('list', '--json');
    assert.equal(listed.status, 0, listed.stderr);
    const { snapshots, unreadable } = JSON.parse(listed.stdout) as {
      snapshots: { id: string }[];
      unreadable: { key: string; reason: string }[];
    };
    assert.deepEqual(
      snapshots.map(({ id }) => id),
      [good.id],
    );
    assert.equal(unreadable.length, replacements.length);
    for (const { what, says } of replacements) {
      const { reason } = unreadable.find(({ key }) => key === `daily/${bad.get(what)?.id}.json`) ?? {};
      assert.match(reason ?? '', says, what);
    }
    const named = await command('verify', unreadable[0]?.key.replace(/\.json$/, '') ?? '');
    assert.equal(named.status, 4, named.stderr);
    assert.match(named.stderr, /cannot be read: /);
    const run = await command('run');
    assert.equal(run.status, 0, run.stderr);
    for (const verb of ['list', 'verify', 'prune', 'doctor', 'health', 'recovery-kit']) {
      const result = await command(verb);
      assert.doesNotMatch(result.stderr + result.stdout, /Unexpected failure/, verb);
      // Made-up snapshots of a week ago are late, and what doctor finds besides is not the point.
      if (!['doctor', 'health'].includes(verb)) assert.equal(result.status, 0, `${verb}: ${result.stderr}`);
    }
    // It protects what belongs to it, however old that is.
    const repository = createRepository(createLocalStore({ directory }));
    const catalogue = await readCatalogue(repository, { signal });
    const now = new Date(Date.now() + 30 * 86_400_000);
    await sweep(repository, { catalogue, now, timeoutMs: 3_600_000, log: quietLog, signal });
    for (const manifest of bad.values()) assert.ok(statSync(path.join(directory, dumpKey(manifest))).isFile());
  });

  it('has an unreadable manifest where the disk answers with an input/output error', async (t) => {
    const { directory, good, bad, asRoot } = await make();
    const [gone, ...others] = [...bad.values()];
    for (const manifest of others) rmSync(path.join(directory, 'daily', `${manifest.id}.json`));
    const file = path.join(directory, 'daily', `${gone?.id}.json`);
    // Linux answers so to whoever reads a process's memory where it has none (proc(5)), and by any name of it.
    const { status, stderr } = spawnSync('mount', ['--bind', `/proc/${process.pid}/mem`, file], { encoding: 'utf8' });
    if (status !== 0) {
      t.skip(`nothing may be mounted here: ${stderr}`);
      return;
    }
    try {
      assert.throws(() => readFileSync(file), { code: 'EIO' });
      const listed = await asRoot('list', '--json');
      assert.equal(listed.status, 0, listed.stderr);
      const { snapshots, unreadable } = JSON.parse(listed.stdout) as {
        snapshots: { id: string }[];
        unreadable: { reason: string }[];
      };
      assert.deepEqual(
        snapshots.map(({ id }) => id),
        [good.id],
      );
      assert.match(
        unreadable.map(({ reason }) => reason).join(),
        /^'daily\/.* the disk answers with an input\/output error$/,
      );
      for (const verb of ['run', 'verify', 'prune']) {
        const result = await asRoot(verb);
        assert.equal(result.status, 0, `${verb}: ${result.stderr}`);
        assert.doesNotMatch(result.stderr, /Unexpected failure/);
      }
    } finally {
      spawnSync('umount', ['-l', file]);
    }
  });

  it('has a damaged snapshot, and no other, where something else is in the place of its dump', async () => {
    const { directory, bad, command } = await make();
    for (const { what, replace } of replacements)
      await put(path.join(directory, dumpKey(bad.get(what) ?? aManifest())), replace);
    const listed = await command('list', '--json');
    assert.equal(listed.status, 0, listed.stderr);
    const { damaged } = JSON.parse(listed.stdout) as { damaged: { id: string; reason: string }[] };
    for (const { what, says } of replacements) {
      const id = bad.get(what)?.id ?? '';
      const found = damaged.find((one) => one.id === id);
      if (found !== undefined) assert.match(found.reason, says, what);
      else {
        // What may not be read is seen, and found out when it is read.
        const named = await command('verify', id);
        assert.equal(named.status, 13, `${what}: ${named.stderr}`);
        assert.match(named.stderr, says, what);
      }
    }
    assert.equal(damaged.length, replacements.length - 1);
    const run = await command('run');
    assert.equal(run.status, 0, run.stderr);
    const other = await command('verify');
    assert.equal(other.status, 0, other.stderr);
  });

  it('says which tier it cannot look into, removes nothing there, and takes a backup all the same', async () => {
    const { directory, good, command } = await make();
    const first = await command('run', 'weekly');
    assert.equal(first.status, 0, first.stderr);
    chownSync(path.join(directory, 'daily'), 0, 0);
    chmodSync(path.join(directory, 'daily'), 0o700);
    const listed = await command('list', '--json');
    const { snapshots, unlisted } = JSON.parse(listed.stdout) as {
      snapshots: { tier: string }[];
      unlisted: { key: string; reason: string }[];
    };
    assert.deepEqual([snapshots.map(({ tier }) => tier), unlisted.map(({ key }) => key)], [['weekly'], ['daily/']]);
    assert.match(
      unlisted[0]?.reason ?? '',
      /'daily\/' could not be listed.*permission denied \(owner 0:0, mode 0700\)/,
    );
    const verified = await command('verify');
    assert.equal(verified.status, 0, verified.stderr);
    assert.match(verified.stderr, /The tier daily could not be seen, and a newer snapshot may be there/);
    const named = await command('verify', good.id);
    assert.equal(named.status, 4);
    assert.match(named.stderr, /what is in 'daily' could not be seen: .*permission denied/);
    const run = await command('run', 'weekly');
    assert.equal(run.status, 0, run.stderr);
    const pruned = await command('prune');
    assert.equal(pruned.status, 0, pruned.stderr);
    assert.match(pruned.stdout, /HELD \(daily\): .*permission denied/);
    const inside = await command('run', 'daily');
    assert.equal(inside.status, 12, inside.stderr);
    assert.doesNotMatch(inside.stderr, /Unexpected failure/);
    assert.match(inside.stderr, /permission denied \(owner 0:0, mode 0700\)/);
  });

  it('is not troubled by a folder of somebody else in a tier that it may not look into', async () => {
    const { directory, good, bad, command } = await make();
    mkdirSync(path.join(directory, 'daily', 'of-somebody-else'), { mode: 0o700 });
    symlinkSync('nowhere', path.join(directory, 'daily', 'latest'));
    const listed = await command('list', '--json');
    const { snapshots, unlisted } = JSON.parse(listed.stdout) as {
      snapshots: { id: string }[];
      unlisted: { key: string }[];
    };
    assert.deepEqual(new Set(snapshots.map(({ id }) => id)), new Set([good, ...bad.values()].map(({ id }) => id)));
    assert.deepEqual(
      unlisted.map(({ key }) => key),
      ['daily/of-somebody-else/'],
    );
    const run = await command('run');
    assert.equal(run.status, 0, run.stderr);
    const pruned = await command('prune');
    assert.equal(pruned.status, 0, pruned.stderr);
    assert.doesNotMatch(pruned.stdout, /HELD \(/);
  });

  it('that has a file in the place of a tier says so', async () => {
    const { directory, command } = await make();
    execFileSync('sh', ['-c', `echo x > ${directory}/weekly && chown ${nobody} ${directory}/weekly`]);
    const listed = await command('list');
    assert.equal(listed.status, 0, listed.stderr);
    assert.match(listed.stdout, /Could not be listed.*\n.*weekly\/.*a file stands where a directory should be/);
    const run = await command('run', 'weekly');
    assert.equal(run.status, 12, run.stderr);
    assert.match(run.stderr, /a file stands where a directory should be/);
  });
});
