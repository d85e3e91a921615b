// Everything that can go wrong between us and a destination.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runCommand, startCommand, type RunningCommand } from '../support/command.ts';
import { backUp } from '../../src/backup/backup.ts';
import { findClients } from '../../src/database/clients.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { sweep } from '../../src/snapshots/deletion-law.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { environmentOf } from '../config/environments.ts';
import { openApp } from '../support/app.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import type { PostgresServer } from '../support/postgres-server.ts';
import { quietLog } from '../support/quiet-log.ts';
import type { SeenRequest } from '../support/s3-server.ts';
import { until } from '../support/until.ts';
import { fixtureClient, startStage, startStageServer, type FaultStage } from './support.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

let server: PostgresServer;
before(async () => {
  server = await startStageServer();
  await createMastodonDatabase(server, { name: small.DB_NAME, megabytes: 1 });
});
after(async () => server[Symbol.asyncDispose]());

/** One part, where what fails is not about several: they take a run a second. */
const small = { DB_NAME: 'small' };

const isPart = ({ method, query }: SeenRequest): boolean => method === 'PUT' && query.has('partNumber');

describe('a destination that fails', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ server });
  });
  after(async () => stage[Symbol.asyncDispose]());

  for (const [code, says] of [
    ['InvalidAccessKeyId', /access key id is unknown.*BACKUP_S3_ACCESS_KEY_ID/],
    ['SignatureDoesNotMatch', /secret access key is wrong.*BACKUP_S3_SECRET_ACCESS_KEY/],
    ['AccessDenied', /access is denied.*right to read, write and delete/],
  ] as const) {
    it(`says what is wrong with the key on ${code}`, async () => {
      stage.s3.rule(() => ({ kind: 'answer', status: 403, code }));
      const result = await runCommand(['run'], stage.environment);
      await stage.assertFailed(result, {
        status: 12,
        says,
      });
      stage.s3.rule(() => ({ kind: 'answer', status: 403, code }));
      const doctor = await runCommand(['doctor'], stage.environment);
      assert.equal(doctor.status, 5);
      assert.match(doctor.stdout.replaceAll('\n', ' '), says);
      stage.s3.rule(() => ({ kind: 'pass' }));
    });
  }

  it('names the missing bucket', async () => {
    const result = await runCommand(['run'], { ...stage.environment, BACKUP_S3_BUCKET: 'not-there' });
    await stage.assertFailed(result, { status: 12, says: /'not-there'.*there is no such bucket.*BACKUP_S3_BUCKET/ });
  });

  it('says when nothing answers at the endpoint', async () => {
    const result = await runCommand(['run'], { ...stage.environment, BACKUP_S3_ENDPOINT: 'http://127.0.0.1:9' });
    await stage.assertFailed(result, { status: 12, says: /nothing answers at the endpoint.*external_network/ });
  });

  it('is cut off when it hangs', async () => {
    stage.s3.rule((request) => ({ kind: isPart(request) ? 'hang' : 'pass' }));
    const started = performance.now();
    const result = await runCommand(['run'], { ...stage.environment, BACKUP_STALL_TIMEOUT: '3s' });
    await stage.assertFailed(result, { status: 124, says: /could not be stored .*: it stood still for 3 s/ });
    assert.ok(performance.now() - started < 90_000);
    await stage.assertNoBackend();
  });

  it('is cut off when it hangs on completing the upload', async () => {
    stage.s3.rule(({ method, query }) => ({ kind: method === 'POST' && query.has('uploadId') ? 'hang' : 'pass' }));
    const result = await runCommand(['run'], {
      ...stage.environment,
      BACKUP_STALL_TIMEOUT: '3s',
      BACKUP_TIMEOUT: '90s',
    });
    await stage.assertFailed(result, { status: 124, says: /could not be stored .*: it stood still for 3 s/ });
  });

  it('gives up when it answers 500 again and again', async () => {
    stage.s3.rule((request) =>
      isPart(request) ? { kind: 'answer', status: 500, code: 'InternalError' } : { kind: 'pass' },
    );
    const result = await runCommand(['run'], stage.environment);
    await stage.assertFailed(result, {
      status: 12,
      says: /after \d attempts: the store answers with errors of its own/,
    });
  });

  it('gives up when it closes the connection in mid-part again and again', async () => {
    stage.s3.rule((request) => ({ kind: isPart(request) ? 'drop' : 'pass' }));
    const result = await runCommand(['run'], stage.environment);
    await stage.assertFailed(result, { status: 12, says: /the connection broke off/ });
  });

  it('does not count when the object cannot be read back', async () => {
    stage.s3.rule(({ method, path: key }) =>
      method === 'GET' && key.endsWith('.dump') ? { kind: 'cut', afterBytes: 0 } : { kind: 'pass' },
    );
    await using app = openApp({ ...stage.environment, ...small }, { readPatience: { attempts: 3, pauseMs: 10 } });
    const request = {
      purpose: { kind: 'by hand', tier: 'daily' },
      wait: false,
      signal: AbortSignal.timeout(120_000),
    } as const;
    const { outcomes } = await app.run({ ...request, onProgress: () => undefined });
    const [outcome] = outcomes;
    assert.ok(outcome?.kind === 'failed');
    assert.equal(outcome.error.code, 'verify');
    assert.match(outcome.error.message, /failed verification/);
    // What could not be read was not found wrong.
    assert.doesNotMatch(outcome.error.hint ?? '', /Do not rely on this one/);
    assert.deepEqual(
      (await stage.s3.keys()).filter((key) => key.endsWith('.json')),
      [],
    );
  });

  it('is read back over a line that breaks every 6 MiB', async () => {
    await using apart = await startStage({ server });
    const reads: number[] = [];
    apart.s3.rule(({ method, path: key }) => {
      if (method !== 'GET' || !key.endsWith('.dump')) return { kind: 'pass' };
      reads.push(reads.length);
      return { kind: 'cut', afterBytes: 6 * 1024 * 1024 };
    });
    const run = await runCommand(['run'], apart.environment);
    assert.equal(run.status, 0, run.stderr);
    assert.ok(reads.length > 1, 'the object has more than 6 MiB');
    const verified = await runCommand(['verify'], apart.environment);
    assert.equal(verified.status, 0, verified.stderr);
    assert.match(verified.stdout, /decoded to the end/);
  });

  it('does not count when the manifest cannot be written', async () => {
    stage.s3.rule(({ method, path: key }) =>
      method === 'PUT' && key.endsWith('.json')
        ? { kind: 'answer', status: 403, code: 'AccessDenied' }
        : { kind: 'pass' },
    );
    const result = await runCommand(['run'], { ...stage.environment, ...small });
    await stage.assertFailed(result, { status: 12, says: /access is denied/ });
  });

  it('takes a manifest back that is not what was written', async () => {
    stage.s3.rule(({ method, path: key }) =>
      method === 'PUT' && key.endsWith('.json') ? { kind: 'flip', atShare: 0.5 } : { kind: 'pass' },
    );
    const result = await runCommand(['run'], { ...stage.environment, ...small });
    await stage.assertFailed(result, { status: 13, says: /The manifest .* is not what was written/ });
  });

  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    it(`has no multipart upload left after ${name} in mid-upload`, async () => {
      const script = '"$real" "$@" | head -c 11000000; exec sleep 60';
      await using running = startCommand(['run'], {
        ...stage.environment,
        BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'held', script }),
      });
      const seenBefore = stage.s3.seen.length;
      while (!stage.s3.seen.slice(seenBefore).some(isPart)) await new Promise((resolve) => setTimeout(resolve, 50));
      running.child.kill(name);
      await stage.assertFailed(await running.result, { status: 130, says: new RegExp(`Interrupted by ${name}`) });
    });
  }
});

describe('an ETag', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ server });
  });
  after(async () => stage[Symbol.asyncDispose]());
  const other = { etag: '"0123456789abcdef0123456789abcdef-2"' };

  it('of another object fails the verification', async () => {
    stage.s3.rule(({ method }) => (method === 'HEAD' ? { kind: 'headers', headers: other } : { kind: 'pass' }));
    const result = await runCommand(['run'], { ...stage.environment, BACKUP_VERIFY: 'etag' });
    await stage.assertFailed(result, { status: 13, says: /its ETag is 0123456789abcdef/ });
  });

  for (const encryption of [
    { 'x-amz-server-side-encryption': 'aws:kms' },
    { 'x-amz-server-side-encryption': 'aws:kms:dsse' },
    { 'x-amz-server-side-encryption-customer-algorithm': 'AES256' },
  ]) {
    it(`is no MD5 where the store encrypts (${Object.entries(encryption).join()}), and the manifest says so`, async () => {
      stage.s3.rule(({ method }) =>
        method === 'HEAD' ? { kind: 'headers', headers: { ...other, ...encryption } } : { kind: 'pass' },
      );
      const result = await runCommand(['run', '--json'], { ...stage.environment, BACKUP_VERIFY: 'etag' });
      assert.equal(result.status, 0, result.stderr);
      const { destinations } = JSON.parse(result.stdout) as { destinations: { verified: string }[] };
      assert.deepEqual(
        destinations.map(({ verified }) => verified),
        ['size'],
      );
    });
  }
});

describe('the doctor', () => {
  const isProbeRead = ({ method, path: key }: SeenRequest): boolean => method === 'GET' && key.includes('/probe-');

  it('takes its probe away also when it cannot be read', async () => {
    await using stage = await startStage({ server });
    stage.s3.rule((request) =>
      isProbeRead(request) ? { kind: 'answer', status: 403, code: 'AccessDenied' } : { kind: 'pass' },
    );
    const result = await runCommand(['doctor'], stage.environment);
    assert.equal(result.status, 5, result.stderr);
    assert.match(result.stdout, /PROBLEM {2}s3: 'probe-.*access is denied/);
    assert.deepEqual(await stage.s3.keys(), []);
  });

  it('asks a destination that failed for nothing more than to remove its probe', async () => {
    await using stage = await startStage({ server });
    stage.s3.rule(() => ({ kind: 'answer', status: 403, code: 'AccessDenied' }));
    const result = await runCommand(['doctor'], stage.environment);
    assert.equal(result.status, 5, result.stderr);
    assert.equal(stage.s3.seen.at(-1)?.method, 'DELETE', JSON.stringify(stage.s3.seen));
  });

  it('is interrupted by SIGTERM, which is no finding, and takes its probe away', async () => {
    await using stage = await startStage({ server });
    stage.s3.rule((request) => ({ kind: isProbeRead(request) ? 'hang' : 'pass' }));
    await using running = startCommand(['doctor', '--json'], stage.environment);
    while (!stage.s3.seen.some(isProbeRead)) await new Promise((resolve) => setTimeout(resolve, 50));
    running.child.kill('SIGTERM');
    const result = await running.result;
    assert.equal(result.status, 130, result.stderr);
    assert.deepEqual(await stage.s3.keys(), []);
  });
});

it('a doctor that is stopped while a bucket does not say what it protects ends as any other', async () => {
  await using stage = await startStage({ server });
  const isAsked = ({ query }: SeenRequest): boolean => query.has('versioning') || query.has('object-lock');
  stage.s3.rule((request) => ({ kind: isAsked(request) ? 'hang' : 'pass' }));
  await using running = startCommand(['doctor', '--json'], stage.environment);
  while (stage.s3.seen.filter(isAsked).length < 2) await new Promise((resolve) => setTimeout(resolve, 50));
  running.child.kill('SIGTERM');
  const { status, stderr } = await running.result;
  assert.equal(status, 130, stderr);
});

describe('a destination that fails for a while', () => {
  it('still has its backup when the line breaks once while its manifest is read back', async () => {
    await using stage = await startStage({ server });
    let isWritten = false;
    let reads = 0;
    stage.s3.rule(({ method, path: key }) => {
      if (!key.endsWith('.json')) return { kind: 'pass' };
      if (method === 'PUT') isWritten = true;
      if (method !== 'GET' || !isWritten) return { kind: 'pass' };
      reads += 1;
      return reads === 1 ? { kind: 'cut', afterBytes: 100 } : { kind: 'pass' };
    });
    const result = await runCommand(['run'], { ...stage.environment, ...small });
    assert.equal(result.status, 0, result.stderr);
    assert.ok(reads > 1);
  });

  it('still gets its backup', async () => {
    await using stage = await startStage({ server });
    const failures = new Map<string, number>();
    stage.s3.rule((request) => {
      const part = request.query.get('partNumber');
      if (!isPart(request) || part === null) return { kind: 'pass' };
      const count = (failures.get(part) ?? 0) + 1;
      failures.set(part, count);
      if (count === 1) return { kind: 'answer', status: 500, code: 'InternalError' };
      return { kind: count === 2 ? 'drop' : 'pass' };
    });
    const result = await runCommand(['run', '--json'], stage.environment);
    assert.equal(result.status, 0, result.stderr);
    assert.ok(failures.size > 1);
  });
});

describe('of two destinations', () => {
  let stage: FaultStage;
  before(async () => {
    stage = await startStage({ server });
  });
  after(async () => stage[Symbol.asyncDispose]());

  it('the directory is finished when the bucket hangs, and the bucket is named', async () => {
    const directory = path.join(stage.scratch, 'nas');
    mkdirSync(directory);
    stage.s3.rule((request) => ({ kind: isPart(request) ? 'hang' : 'pass' }));
    const environment = { ...stage.environment, BACKUP_LOCAL_DIR: directory, BACKUP_STALL_TIMEOUT: '3s' };
    const result = await runCommand(['run', '--json'], environment);
    assert.equal(result.status, 124, result.stderr);
    const { destinations } = JSON.parse(result.stdout) as {
      destinations: { store: string; status: string; error?: string }[];
    };
    assert.deepEqual(
      destinations.map(({ store, status }) => `${store} ${status}`),
      ['s3 failed', 'local stored'],
    );
    assert.match(destinations[0]?.error ?? '', /bucket 'backups'.*stood still/);
    stage.s3.rule(() => ({ kind: 'pass' }));
    const verified = await runCommand(['verify', '--from', 'local'], environment);
    assert.equal(verified.status, 0, verified.stderr);
    assert.deepEqual(
      (await stage.s3.keys()).filter((key) => key.endsWith('.json')),
      [],
    );
  });

  it('the bucket is finished when the directory fails, and the directory is named', async () => {
    const result = await runCommand(['run', '--json'], {
      ...stage.environment,
      BACKUP_LOCAL_DIR: path.join(stage.scratch, 'not-mounted'),
    });
    assert.equal(result.status, 12, result.stderr);
    assert.match(result.stderr, /not-mounted' does not exist.*Mount it/);
    const verified = await runCommand(['verify'], stage.environment);
    assert.equal(verified.status, 0, verified.stderr);
  });

  it('the bucket is finished when the directory is full', async (context) => {
    const directory = path.join(stage.scratch, 'full');
    mkdirSync(directory);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]);
    if (mounted.status !== 0) {
      context.skip('this machine does not let us mount a small file system');
      return;
    }
    try {
      const result = await runCommand(['run', '--json'], { ...stage.environment, BACKUP_LOCAL_DIR: directory });
      assert.equal(result.status, 12, result.stderr);
      assert.match(result.stderr, /no space is left/);
      assert.deepEqual(readdirSync(path.join(directory, 'daily')), [], 'nothing half-written stays');
      const verified = await runCommand(['verify'], stage.environment);
      assert.equal(verified.status, 0, verified.stderr);
    } finally {
      execFileSync('umount', [directory]);
    }
  });
});

describe('a disk that hangs', () => {
  it('answers no call, and neither holds up the bucket nor outlives its own time-out', async (context) => {
    await using stage = await startStage({ server });
    const image = path.join(stage.scratch, 'disk.img');
    const directory = path.join(stage.scratch, 'disk');
    mkdirSync(directory);
    const make = `truncate -s 64M ${image} && mkfs.ext4 -q ${image} && mount -o loop ${image} ${directory}`;
    if (spawnSync('sh', ['-c', make]).status !== 0) {
      context.skip('this machine does not let us mount a file system');
      return;
    }
    let running: RunningCommand | undefined;
    try {
      execFileSync('fsfreeze', ['--freeze', directory]);
      running = startCommand(['run', '--json'], {
        ...stage.environment,
        BACKUP_LOCAL_DIR: directory,
        BACKUP_STALL_TIMEOUT: '3s',
      });
      // Until the disk lives again the process cannot leave the system call it hangs in, so its words are what is looked at.
      await Promise.race([
        running.saw('mastodon-backup: '),
        new Promise((_resolve, reject) => {
          setTimeout(reject, 120_000, new Error('The run hangs with the disk')).unref();
        }),
      ]);
      assert.equal((await stage.s3.keys()).filter((key) => key.endsWith('.json')).length, 1);
      const store = createLocalStore({ directory, idleMs: 500 });
      const document = store.putDocument('daily/x.json' as ObjectKey, Buffer.from('{}'), {
        signal: AbortSignal.timeout(10_000),
      });
      await assert.rejects(document, { code: 'stalled', message: /has not answered for/ });
    } finally {
      execFileSync('fsfreeze', ['--unfreeze', directory]);
      const result = await running?.result;
      await new Promise((resolve) => setTimeout(resolve, 500));
      execFileSync('umount', ['--lazy', directory]);
      assert.equal(result?.status, 124);
      assert.match(result.stderr, /in directory .* stood still for 3 s/);
    }
  });
});

describe('a directory that hangs', () => {
  it('is cut off, and the bucket is finished', async () => {
    await using stage = await startStage({ server });
    const hung: RemovableStore = {
      ...createLocalStore({ directory: stage.scratch }),
      // A disk that takes no byte and answers nothing.
      put: async (_key, _body, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    };
    const signal = AbortSignal.timeout(60_000);
    const result = await backUp({
      purpose: { kind: 'by hand', tier: 'daily' },
      instance: 'social.example',
      role: null,
      mastodonImage: null,
      toolVersion: 'test',
      environment: environmentOf({}),
      secrets: 'auto',
      extraFiles: [],
      connection: stage.server.mastodon('mastodon_production'),
      clients: await findClients({ directory: null, path: process.env['PATH'] ?? '', signal }),
      lockWaitMs: 10_000,
      yieldAfterMs: 30_000,
      earlier: [],
      stores: [createRepository(stage.s3.store(), { partsInMemory: 6 }), createRepository(hung)],
      compression: { kind: 'none' },
      cores: 2,
      memoryLimitBytes: 2 ** 31,
      niceness: 0,
      verify: 'full',
      recipients: [],
      allowPlaintext: true,
      refused: new Map(),
      silent: [],
      lastEncryption: null,
      stallTimeoutMs: 2_000,
      now: () => new Date(),
      log: quietLog,
      signal,
      onProgress: () => undefined,
    });
    const [bucket, directory] = result.outcomes;
    assert.equal(bucket?.kind, 'stored');
    assert.ok(directory?.kind === 'failed');
    assert.equal(directory.error.code, 'stalled');
    assert.match(directory.error.message, /in directory .* stood still for 2 s/);
  });
});

describe('a run that was killed', () => {
  it('lists nothing, does not lock the next one out, and is swept when the deletion law allows it', async () => {
    await using stage = await startStage({ server });
    const environment = { ...stage.environment, ...small };
    // Killed when the object is stored and the manifest is not.
    stage.s3.rule(({ method, path: key }) =>
      method === 'GET' && key.endsWith('.dump') ? { kind: 'hang' } : { kind: 'pass' },
    );
    await using running = startCommand(['run'], environment);
    await running.saw('Reading back');
    running.child.kill('SIGKILL');
    await running.result;
    stage.s3.rule(() => ({ kind: 'pass' }));
    const listed = await runCommand(['list', '--json'], environment);
    assert.deepEqual((JSON.parse(listed.stdout) as { snapshots: unknown[] }).snapshots, []);
    const orphans = await stage.s3.keys();
    assert.equal(orphans.length, 1);

    const again = await runCommand(['run'], environment);
    assert.equal(again.status, 0, again.stderr);
    assert.ok((await stage.s3.keys()).includes(orphans[0] ?? ''), 'too young to be swept');

    const store = stage.s3.store();
    const later = Object.create(store, {
      now: { value: async () => new Date(Date.now() + 3 * 86_400_000) },
    }) as typeof store;
    const repository = createRepository(later);
    const catalogue = await readCatalogue(repository, { signal: AbortSignal.timeout(30_000) });
    const options = { timeoutMs: 12 * 3_600_000, log: quietLog, signal: AbortSignal.timeout(30_000) };
    const skewed = await sweep(repository, { ...options, catalogue, now: new Date() });
    assert.deepEqual(skewed.objects, [], 'nothing is swept while the clocks differ');
    const swept = await sweep(repository, { ...options, catalogue, now: new Date(Date.now() + 3 * 86_400_000) });
    assert.deepEqual(swept.objects, orphans);
    assert.equal((await stage.s3.keys()).length, 2, 'the committed backup stays');
  });

  it('leaves only a temporary file in a directory, which is swept later', async () => {
    await using stage = await startStage({ server });
    using directory = temporaryDirectory();
    const script = '"$real" "$@" | head -c 11000000; exec sleep 60';
    const { BACKUP_S3_BUCKET: _bucket, ...withoutBucket } = stage.environment;
    const environment = {
      ...Object.fromEntries(Object.entries(withoutBucket).filter(([name]) => !name.startsWith('BACKUP_S3_'))),
      BACKUP_LOCAL_DIR: directory.path,
      BACKUP_PG_BIN: fixtureClient(stage.scratch, { name: 'held', script }),
    };
    await using running = startCommand(['run'], environment);
    await running.saw('Dump started');
    const daily = path.join(directory.path, 'daily');
    await until('a file in the directory', {
      seconds: 10,
      look: async () => existsSync(daily) && readdirSync(daily).length > 0,
    });
    running.child.kill('SIGKILL');
    await running.result;
    assert.deepEqual(
      readdirSync(daily).map((name) => name.endsWith('.partial')),
      [true],
    );
    const listed = await runCommand(['list', '--json'], environment);
    assert.deepEqual((JSON.parse(listed.stdout) as { snapshots: unknown[]; foreign: unknown[] }).foreign, []);
  });
});
