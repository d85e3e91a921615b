// The bar on real terminals of several widths (script(1) makes them), and as text.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describeProgress } from '../../src/cli/progress-bar.ts';
import { databaseEnvironment } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

it('no line is longer than the terminal is wide', () => {
  const sizes = fc.integer({ min: 0, max: 2 ** 45 });
  fc.assert(
    fc.property(
      sizes,
      fc.option(sizes),
      fc.nat(1e9),
      fc.integer({ min: -1, max: 200 }),
      (bytes, expectedBytes, elapsedMs, columns) => {
        const line = describeProgress({ step: 'verify', bytes, expectedBytes }, { elapsedMs, columns });
        assert.ok(line.length <= Math.max(0, columns));
      },
    ),
  );
  const progress = { step: 'dump', bytes: 50 * 2 ** 20, expectedBytes: 100 * 2 ** 20 } as const;
  assert.equal(
    describeProgress(progress, { elapsedMs: 5_000, columns: 200 }),
    'Dumping [############............] 50.0 MiB of about 100.0 MiB, 10.0 MiB/s, about 5.0 s left',
  );
  assert.equal(
    describeProgress(progress, { elapsedMs: 5_000, columns: 65 }),
    'Dumping 50.0 MiB of about 100.0 MiB, 10.0 MiB/s, about 5.0 s left',
  );
});

it('on a terminal it redraws one line, and log lines stand by themselves', async (context) => {
  if (spawnSync('script', ['--version']).status !== 0) {
    context.skip('there is no script(1) here');
    return;
  }
  await using server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 6 });
  using folder = temporaryDirectory();
  const env = {
    PATH: process.env['PATH'],
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    BACKUP_LOCAL_DIR: folder.path,
    BACKUP_STATE_DIR: path.join(folder.path, '.state'),
    BACKUP_THREADS: '1',
  };
  const run = `stty columns 50; '${process.execPath}' '${main}' run 2>&1 >'${folder.path}/stdout'`;
  const { stdout, status } = spawnSync('script', ['-qfec', run, '/dev/null'], {
    env,
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stdout);
  const written = stdout.split('\r\u001B[K');
  const bars = written.filter((text) => text.startsWith('Dumping '));
  assert.ok(bars.length > 1, stdout);
  for (const bar of bars) assert.match(bar, /^[^\n]{1,49}$/);
  const logged = written.filter((text) => text.includes('INFO'));
  assert.ok(logged.length >= 3);
  for (const line of logged) assert.match(line, /^\[[\d:]+\] INFO: /);
});
