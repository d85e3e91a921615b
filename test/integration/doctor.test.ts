// What the doctor says in the few seconds that somebody waits for it: of a store or a database that hangs, of the directories, of drills,
// and of what the next run would refuse or no longer do.

import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Finding } from '../../src/doctor/finding.ts';
import { findScratchUser } from '../../src/drill/scratch-user.ts';
import { runCommand, runProcess, type CommandResult } from '../support/command.ts';
import type { PostgresServer } from '../support/postgres-server.ts';
import type { SeenRequest } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { startStage, startStageServer, type FaultStage } from '../faults/support.ts';

let server: PostgresServer;
let stage: FaultStage;
let environment: Readonly<Record<string, string>>;
before(async () => {
  server = await startStageServer();
  stage = await startStage({ server });
  environment = { ...stage.environment, BACKUP_SCRATCH_DIR: path.join(stage.scratch, 'scratch') };
});
after(async () => {
  await stage[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

interface Examined {
  readonly findings: readonly Finding[];
  readonly seconds: number;
  readonly result: CommandResult;
  readonly of: (check: string) => readonly Finding[];
}

async function examine(variables: Readonly<Record<string, string>>): Promise<Examined> {
  const startedAt = performance.now();
  const result = await runCommand(['doctor', '--json'], variables);
  const seconds = (performance.now() - startedAt) / 1_000;
  const findings = JSON.parse(result.stdout) as Finding[];
  assert.doesNotMatch(result.stdout, /mastodon-backup doctor/, 'it does not send to itself');
  return { findings, seconds, result, of: (check) => findings.filter((one) => one.check === check) };
}

describe('the doctor in its five seconds', () => {
  it('is done where all is well', async () => {
    const { seconds, result } = await examine(environment);
    assert.equal(result.status, 0, result.stdout);
    assert.ok(seconds < 5, `${seconds} s`);
  });

  const isList = ({ method, query }: SeenRequest): boolean =>
    method === 'GET' && query.get('list-type') === '2' && query.get('prefix')?.startsWith('probe-') !== true;
  for (const { what, hangs, check, status } of [
    { what: 'says nothing', hangs: () => true, check: 's3', status: 'problem' },
    { what: 'lists nothing', hangs: isList, check: 's3 contents', status: 'problem' },
    {
      what: 'does not tell its rules',
      hangs: ({ query }: SeenRequest) => query.has('lifecycle'),
      check: 's3 lifecycle',
      status: 'warning',
    },
  ] as const) {
    it(`says of a store that it ${what}, and what else there is to say`, async () => {
      stage.s3.rule((request) => ({ kind: hangs(request) ? 'hang' : 'pass' }));
      const { of, seconds, result } = await examine(environment);
      stage.s3.rule(() => ({ kind: 'pass' }));
      assert.ok(seconds < 8, `${seconds} s`);
      const [found] = of(check);
      assert.equal(found?.status, status, result.stdout);
      assert.match(found.detail, /^The bucket 'backups' at http.* does not answer within 4 s$/);
      assert.match(found.remedy ?? '', /external_network.*BACKUP_S3_ENDPOINT/);
      assert.equal(of('database')[0]?.status, 'ok');
    });
  }

  it('says of a database that it says nothing, and goes on with the store', async () => {
    const sockets = new Set<Socket>();
    const listener = createServer((socket) => void sockets.add(socket.on('error', () => undefined)));
    await new Promise<void>((resolve) => void listener.listen(0, '127.0.0.1', resolve));
    const { port } = listener.address() as AddressInfo;
    const { of, seconds, result } = await examine({ ...environment, DB_HOST: '127.0.0.1', DB_PORT: String(port) });
    for (const socket of sockets) socket.destroy();
    listener.close();
    assert.ok(seconds < 5.5, `${seconds} s`);
    assert.equal(result.status, 5);
    const [found] = of('database');
    assert.match(
      found?.detail ?? '',
      /^The database mastodon@127\.0\.0\.1:\d+\/mastodon_production does not answer within 4 s$/,
    );
    assert.equal(of('s3')[0]?.status, 'ok', result.stdout);
  });

  for (const [what, banner] of [
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['Redis', '-ERR unknown command\r\n'],
  ] as const) {
    it(`says of ${what} that it is no database, and not to run the doctor`, async () => {
      const sockets = new Set<Socket>();
      const listener = createServer((socket) => {
        sockets.add(socket.on('error', () => undefined));
        socket.once('data', () => socket.write(banner));
      });
      await new Promise<void>((resolve) => void listener.listen(0, '127.0.0.1', resolve));
      const { port } = listener.address() as AddressInfo;
      const { of } = await examine({ ...environment, DB_HOST: '127.0.0.1', DB_PORT: String(port) });
      for (const socket of sockets) socket.destroy();
      listener.close();
      assert.equal(of('database')[0]?.remedy, 'Check DB_HOST and DB_PORT: what answers there is no PostgreSQL.');
    });
  }

  it('says of a database that it stopped answering in the middle of it', async () => {
    // What asks for its tables waits for the lock, as behind a migration that nobody ends.
    const held = server.query(
      'begin; lock table pg_class in access exclusive mode; select pg_sleep(9)',
      'mastodon_production',
    );
    // Nobody can look whether it has it: whoever looks waits as well.
    await sleep(500);
    const { of, seconds, result } = await examine(environment);
    assert.ok(seconds < 8, `${seconds} s`);
    assert.match(of('database')[0]?.detail ?? '', /does not answer within 4 s$/, result.stdout);
    await held.catch(() => undefined);
  });

  it('hears after the first answers that a store has errors of its own, and does not call it silent', async () => {
    stage.s3.rule(() => ({ kind: 'answer', status: 503, code: 'SlowDown' }));
    const { of, seconds, result } = await examine(environment);
    stage.s3.rule(() => ({ kind: 'pass' }));
    assert.ok(seconds < 5, `${seconds} s`);
    assert.match(of('s3')[0]?.detail ?? '', /asks for fewer requests.*SlowDown/, result.stdout);
  });
});

describe('the doctor on directories', () => {
  const uid = 4_711;
  // A user of their own, as in the image, whom root's files refuse.
  async function asUser(variables: Readonly<Record<string, string>>): Promise<readonly Finding[]> {
    const result = await runProcess(['doctor', '--json'], { ...environment, ...variables }, { uid });
    return JSON.parse(result.stdout) as Finding[];
  }

  it(
    'names owner, mode and a file system that is read-only, each with its remedy',
    { skip: process.getuid?.() !== 0 },
    async () => {
      using scratch = temporaryDirectory();
      chmodSync(scratch.path, 0o755);
      const [foreign, closed] = [path.join(scratch.path, 'foreign'), path.join(scratch.path, 'closed')];
      for (const directory of [foreign, closed]) mkdirSync(directory);
      chownSync(closed, uid, uid);
      chmodSync(closed, 0o500);
      const found = await asUser({ BACKUP_STATE_DIR: foreign, BACKUP_SCRATCH_DIR: closed });
      const state = found.find(({ check }) => check === 'state directory');
      assert.equal(state?.status, 'problem', JSON.stringify(found));
      assert.match(
        state.detail,
        /permission denied \(owner 0:0, mode 0755\), and we are 4711.*ends with the container/,
      );
      assert.match(state.remedy ?? '', new RegExp(`chown -R ${uid} '${foreign}'`));
      const room = found.find(({ check }) => check === 'scratch directory');
      assert.match(room?.detail ?? '', /permission denied \(owner 4711:4711, mode 0500\).*no drills and no restores/);
      assert.match(room?.remedy ?? '', /chmod -R u\+rwX/);
      const nowhere = await asUser({ BACKUP_STATE_DIR: '/proc/nowhere', BACKUP_SCRATCH_DIR: '/proc/nowhere/else' });
      for (const [check, status] of [
        ['state directory', 'problem'],
        ['scratch directory', 'warning'],
      ] as const) {
        const missing = nowhere.find((one) => one.check === check);
        assert.equal(missing?.status, status);
        assert.match(missing.remedy ?? '', /^Mount a volume at BACKUP_S/);
      }
    },
  );

  it('names what stands in the place of one, and not an object of a store', async () => {
    using scratch = temporaryDirectory();
    const [file, loop, nowhere] = ['file', 'loop', 'nowhere'].map((name) => path.join(scratch.path, name));
    assert.ok(file !== undefined && loop !== undefined && nowhere !== undefined);
    writeFileSync(file, '');
    symlinkSync('loop', loop);
    symlinkSync('missing', nowhere);
    for (const [place, says] of [
      [file, /cannot be written: a file stands where a directory should be: .* Move that file away/],
      ['/dev/null', /cannot be written: a file stands where a directory should be: .* Move that file away/],
      [loop, /cannot be written: a symbolic link leads back to itself: .* Remove that link/],
      [nowhere, /cannot be written: there is nothing in which it could be made: .* Mount a volume at BACKUP_S/],
    ] as const) {
      const { of } = await examine({ ...environment, BACKUP_STATE_DIR: place, BACKUP_SCRATCH_DIR: place });
      for (const check of ['state directory', 'scratch directory'])
        assert.match(`${of(check)[0]?.detail} ${of(check)[0]?.remedy}`, says);
    }
  });

  it('says of one with a long path that what is remembered is kept elsewhere', async () => {
    using scratch = temporaryDirectory();
    const long = path.join(scratch.path, 'x'.repeat(80));
    const { of } = await examine({ ...environment, BACKUP_STATE_DIR: long });
    const [found] = of('state directory');
    assert.equal(found?.status, 'problem');
    assert.match(
      found.detail,
      /path is longer than 75 bytes.*what is remembered goes to .*, and ends with the container/,
    );
    assert.match(found.remedy ?? '', /shorter path/);
  });

  it('names one in which everybody may write, and says what is free in one that is well', async () => {
    using scratch = temporaryDirectory();
    const open = path.join(scratch.path, 'open');
    mkdirSync(open);
    chmodSync(open, 0o777);
    const { of } = await examine({ ...environment, BACKUP_STATE_DIR: open });
    assert.equal(of('state directory')[0]?.status, 'warning');
    assert.match(of('state directory')[0]?.remedy ?? '', /chmod o-w/);
    assert.equal(of('scratch directory')[0]?.status, 'ok');
    assert.match(of('scratch directory')[0]?.detail ?? '', /can be written \(owner \d+:\d+, mode 0\d+\), .+ are free$/);
    assert.equal(statSync(open).mode & 0o777, 0o777);
  });
});

it('the doctor ends with the names of the checks that found a problem, each once', async () => {
  const { stderr } = await runCommand(['doctor'], { ...environment, BACKUP_TELEGRAM_BOT_TOKEN: 'no token' });
  assert.match(stderr, /The doctor found 2 problems: settings\. /);
});

describe('the doctor on drills', () => {
  it('says with what a drill can run, and what it needs of what is free', async () => {
    const { of } = await examine(environment);
    assert.equal(of('drill')[0]?.status, 'ok', JSON.stringify(of('drill')));
    assert.match(of('drill')[0]?.detail ?? '', /^can run: PostgreSQL \d+.* in \/.*, about .+ of .+ that are free$/);
  });

  it('says nothing of what one needs where nobody knows', async () => {
    assert.deepEqual((await examine({ ...environment, DB_PORT: '1' })).of('drill'), []);
  });

  it('says that it can run as nobody, or what is missing for that', { skip: process.getuid?.() !== 0 }, async () => {
    using scratch = temporaryDirectory();
    chmodSync(scratch.path, 0o777);
    const directories = {
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
    };
    const { stdout } = await runProcess(['doctor', '--json'], { ...environment, ...directories }, { uid: 4_711 });
    const found = (JSON.parse(stdout) as Finding[]).find(({ check }) => check === 'drill');
    if ((await findScratchUser(4_711)).kind === 'wrapped') assert.match(found?.detail ?? '', /^can run/);
    else {
      assert.equal(found?.status, 'warning', stdout);
      assert.match(found.detail, /^no drill can run here: the user id 4711 has no entry in \/etc\/passwd/);
      assert.match(found.remedy ?? '', /libnss-wrapper/);
    }
  });
});

describe('the doctor on what the next run would do', () => {
  it('says that recipients were lost, and that a signing key was', async () => {
    await using own = await startStage({ server });
    const age = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';
    const key = path.join(own.scratch, 'signing_key');
    assert.equal((await runCommand(['keygen', '--output', key], own.environment)).status, 0);
    const full = { ...own.environment, BACKUP_AGE_RECIPIENTS: age, BACKUP_SIGNING_KEY_FILE: key };
    const run = await runCommand(['run'], full);
    assert.equal(run.status, 0, run.stderr);
    const { BACKUP_AGE_RECIPIENTS: _recipients, ...clear } = full;
    const lost = await examine(clear);
    assert.match(lost.of('encryption')[0]?.detail ?? '', /BACKUP_AGE_RECIPIENTS is not set.*the next run is refused/);
    const { BACKUP_SIGNING_KEY_FILE: _key, ...unsigned } = full;
    const strange = await examine(unsigned);
    assert.equal(strange.result.status, 5);
    assert.match(
      strange.of('signatures')[0]?.detail ?? '',
      /^BACKUP_SIGNING_KEY is not set, but the newest backup in bucket .*, daily\/.* is signed/,
    );
    const well = await examine(full);
    assert.equal(well.result.status, 0, well.result.stdout);
    assert.match(well.of('drill')[0]?.detail ?? '', /no private key is on this machine/);
    // Of a database that is down the newest snapshot tells.
    const down = await examine({ ...full, DB_PORT: '1' });
    assert.match(down.of('drill')[0]?.detail ?? '', /no private key is on this machine/);
  });
});
