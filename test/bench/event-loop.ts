// How long the event loop is ever kept from its work by a run, a verification, a restore and a drill of a large database, and
// how long each goes on after TERM. A loop that stands still answers no health check and hears no signal.
//
//   node test/bench/event-loop.ts [--megabytes 300] [--root DIRECTORY-OF-ANOTHER-CHECKOUT]

import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { databaseEnvironment } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '300' },
    root: { type: 'string', default: fileURLToPath(new URL('../..', import.meta.url)) },
    only: { type: 'string' },
  },
});
const probe = fileURLToPath(new URL('delay-probe.mjs', import.meta.url));

interface Measured {
  readonly status: number | null;
  readonly seconds: number;
  /** From TERM to the end; null: it was left alone. */
  readonly stopSeconds: number | null;
  /** From TERM to the word that it stops; null: there was none. */
  readonly saidAfterMs: number | null;
  readonly longestMs: number | null;
  readonly mostlyMs: number | null;
}

using scratch = temporaryDirectory();
chmodSync(scratch.path, 0o755);
await using server = await startPostgres({ major: 15, settings: { fsync: 'off', max_wal_size: '2GB' } });
await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: Number(values.megabytes) });
mkdirSync(`${scratch.path}/backups`);
const environment = {
  ...databaseEnvironment(server.superuser('mastodon_production')),
  LOCAL_DOMAIN: 'social.example',
  BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
  BACKUP_STATE_DIR: `${scratch.path}/state`,
  BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
  BACKUP_PG_BIN: linkPrograms(`${scratch.path}/bin`, 15),
};

async function measure(args: readonly string[], stopAfterMs: number | null): Promise<Measured> {
  const file = `${scratch.path}/delay.json`;
  const startedAt = performance.now();
  const child = spawn(process.execPath, ['--import', probe, path.join(values.root, 'src/main.ts'), ...args], {
    env: { PATH: process.env['PATH'], ...environment, BENCH_DELAY_FILE: file },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let stoppedAt: number | null = null;
  let saidAfterMs: number | null = null;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stoppedAt !== null && text.includes('Stopping')) saidAfterMs ??= Math.round(performance.now() - stoppedAt);
  });
  if (stopAfterMs !== null) {
    await Promise.race([sleep(stopAfterMs), ended]);
    stoppedAt = performance.now();
    child.kill('SIGTERM');
  }
  const status = await ended;
  const now = performance.now();
  const seconds = (from: number): number => Math.round((now - from) / 100) / 10;
  const delay = ((): Pick<Measured, 'longestMs' | 'mostlyMs'> => {
    try {
      return JSON.parse(readFileSync(file, 'utf8')) as Pick<Measured, 'longestMs' | 'mostlyMs'>;
    } catch {
      return { longestMs: null, mostlyMs: null };
    }
  })();
  return {
    status,
    seconds: seconds(startedAt),
    stopSeconds: stoppedAt === null ? null : seconds(stoppedAt),
    saidAfterMs,
    ...delay,
  };
}

async function report(
  name: string,
  args: readonly string[],
  stopAfterMs: number | null = null,
): Promise<Measured | null> {
  if (values.only !== undefined && !name.includes(values.only) && stopAfterMs !== null) return null;
  const measured = await measure(args, stopAfterMs);
  const { status, seconds, stopSeconds, saidAfterMs, longestMs, mostlyMs } = measured;
  const end =
    stopSeconds === null
      ? `${seconds} s`
      : `TERM after ${(stopAfterMs ?? 0) / 1_000} s, said after ${saidAfterMs ?? '-'} ms, ended after ${stopSeconds} s`;
  process.stdout.write(
    `${name}: ${end}, status ${status}; event loop at most ${longestMs} ms, 99.9 % below ${mostlyMs} ms\n`,
  );
  return measured;
}

const whole = await report('run', ['run']);
// At its beginning, in its midst and where pg_dump has ended and the encoder has not.
for (const share of [0.15, 0.4, 0.7, 0.85])
  await report('run', ['run'], Math.round((whole?.seconds ?? 60) * share * 1_000));
await report('verify', ['verify']);
const restored = await report('restore', ['restore', 'latest', '--to-database', 'restored']);
for (const share of [0.2, 0.6, 0.9])
  await report(
    'restore',
    ['restore', 'latest', '--to-database', 'stopped'],
    Math.round((restored?.seconds ?? 30) * share * 1_000),
  );
const drilled = await report('drill', ['drill']);
for (const share of [0.2, 0.6, 0.9])
  await report('drill', ['drill'], Math.round((drilled?.seconds ?? 30) * share * 1_000));
