// The bar on real terminals of several widths (script(1) makes them), and as text.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { createPace } from '../../src/cli/pace.ts';
import { describeProgress } from '../../src/cli/progress-bar.ts';
import { databaseEnvironment, processVariables } from '../support/command.ts';
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
      (bytes, expectedBytes, rate, columns) => {
        const line = describeProgress({ step: 'verify', bytes, expectedBytes }, { rate, columns });
        assert.ok(line.length <= Math.max(0, columns));
      },
    ),
  );
});

it('says the share first, fits 80 columns, and is not done before its end', () => {
  const mib = 2 ** 20;
  const line = (bytes: number, columns = 79): string =>
    describeProgress({ step: 'dump', bytes: bytes * mib, expectedBytes: 100 * mib }, { rate: 10 * mib, columns });
  assert.equal(line(50), 'Dumping 50 % [###...] 50.0 MiB of about 100.0 MiB, 10.0 MiB/s, about 5.0 s left');
  assert.equal(line(50, 75), 'Dumping 50 % 50.0 MiB of about 100.0 MiB, 10.0 MiB/s, about 5.0 s left');
  assert.match(line(0), /^Dumping 0 % /);
  const slow = describeProgress({ step: 'dump', bytes: 1, expectedBytes: 100 * mib }, { rate: 0.5, columns: 79 });
  assert.doesNotMatch(slow, /left/, 'nobody waits for 58254 hours');
  assert.match(line(99.9), /^Dumping 99 % /);
  // It has grown since the last one.
  assert.match(line(105), /^Dumping 99 % .*MiB\/s$/);
  assert.match(line(200), /^Dumping 200\.0 MiB, 10\.0 MiB\/s$/);
  assert.match(describeProgress({ step: 'verify', bytes: 7, expectedBytes: 7 }, { rate: 0, columns: 79 }), /100 %/);
});

it('the rate is that of the last 30 s, so that an estimate does not climb with all that went before', () => {
  const pace = createPace(0);
  assert.equal(pace.rate(0), 0);
  let bytes = 0;
  for (let at = 0; at <= 60_000; at += 100) {
    bytes += 100_000;
    pace.push(bytes, at);
  }
  // From a megabyte a second to a tenth of it.
  for (let at = 60_100; at <= 120_000; at += 100) {
    bytes += 10_000;
    pace.push(bytes, at);
  }
  assert.ok(Math.abs(pace.rate(120_000) - 100_000) < 5_000, String(pace.rate(120_000)));
  assert.equal(pace.rate(160_000), 0, 'what stands still has no rate');
});

it('on a terminal it redraws one line, and log lines stand by themselves', async (context) => {
  if (spawnSync('script', ['--version']).status !== 0) {
    context.skip('there is no script(1) here');
    return;
  }
  await using server = await startPostgres({ major: 15 });
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 3 });
  using folder = temporaryDirectory();
  const env = {
    ...processVariables,
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    BACKUP_LOCAL_DIR: folder.path,
    BACKUP_STATE_DIR: path.join(folder.path, '.state'),
    BACKUP_THREADS: '1',
  };
  const run = `stty columns 50; '${process.execPath}' '${main}' run 2>&1 >'${folder.path}/stdout'`;
  const { stdout, status } = spawnSync('script', ['-qfec', run, '/dev/null'], {
    env,
    encoding: 'utf8',
    timeout: 240_000,
  });
  assert.equal(status, 0, stdout);
  const written = stdout.split('\r\u001B[K');
  const bars = written.filter((text) => text.startsWith('Dumping '));
  assert.ok(bars.length > 1, stdout);
  for (const bar of bars) assert.match(bar, /^Dumping \d+ % [^\n]{1,37}$/);
  const logged = written.filter((text) => text.includes('INFO'));
  assert.ok(logged.length >= 3);
  for (const line of logged) assert.match(line, /^\[[\d:]+\] INFO: /);
});
