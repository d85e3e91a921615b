// How long the event loop is ever kept from its work by a run, a verification, a restore, a drill and a copy of a large database,
// and how long each goes on after TERM. A loop that stands still answers no health check and hears no signal.
//
//   node test/bench/event-loop.ts [--megabytes 300] [--root DIRECTORY-OF-ANOTHER-CHECKOUT]

import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { ObjectKey } from '../../src/storage/store.ts';
import { databaseEnvironment } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres } from '../support/postgres-server.ts';
import { startS3 } from '../support/s3-server.ts';
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
  BACKUP_STATE_DIR: `${scratch.path}/state`,
  BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
  BACKUP_PG_BIN: linkPrograms(`${scratch.path}/bin`, 15),
};
const inDirectory = { BACKUP_LOCAL_DIR: `${scratch.path}/backups` };

type Variables = Readonly<Record<string, string>>;

interface Trial {
  /** Left out: nobody stops it. */
  readonly stopAfterMs?: number;
  readonly program?: string;
  readonly more?: Variables;
}

interface StoppedTrial {
  readonly name: string;
  readonly args: readonly string[];
  readonly whole: Measured | null;
  readonly trial?: Trial;
  readonly after?: () => Promise<void> | undefined;
}

async function measure(
  args: readonly string[],
  { stopAfterMs, program = 'src/main.ts', more = inDirectory }: Trial,
): Promise<Measured> {
  const file = `${scratch.path}/delay.json`;
  const startedAt = performance.now();
  const child = spawn(process.execPath, ['--import', probe, path.join(values.root, program), ...args], {
    env: { PATH: process.env['PATH'], ...environment, ...more, BENCH_DELAY_FILE: file },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let stoppedAt: number | null = null;
  let saidAfterMs: number | null = null;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    if (stoppedAt !== null && text.includes('Stopping')) saidAfterMs ??= Math.round(performance.now() - stoppedAt);
  });
  if (stopAfterMs !== undefined) {
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

async function report(name: string, args: readonly string[], trial: Trial = {}): Promise<Measured | null> {
  const { stopAfterMs } = trial;
  if (values.only !== undefined && !name.includes(values.only)) return null;
  const measured = await measure(args, trial);
  const { status, seconds, stopSeconds, saidAfterMs, longestMs, mostlyMs } = measured;
  const end =
    stopAfterMs === undefined
      ? `${seconds} s`
      : `TERM after ${stopAfterMs / 1_000} s, said after ${saidAfterMs ?? '-'} ms, ended after ${stopSeconds} s`;
  process.stdout.write(
    `${name}: ${end}, status ${status}; event loop at most ${longestMs} ms, 99.9 % below ${mostlyMs} ms\n`,
  );
  return measured;
}

async function stopAt(
  shares: readonly number[],
  { name, args, whole, trial = {}, after = () => undefined }: StoppedTrial,
): Promise<void> {
  for (const share of shares) {
    await report(name, args, { ...trial, stopAfterMs: Math.round((whole?.seconds ?? 30) * share * 1_000) });
    await after();
  }
}

// At its beginning, in its midst and where pg_dump has ended and the encoder has not.
const run = await report('run', ['run']);
await stopAt([0.15, 0.4, 0.7, 0.85], { name: 'run', args: ['run'], whole: run });
await report('verify', ['verify']);
const restored = await report('restore', ['restore', 'latest', '--to-database', 'restored']);
await stopAt([0.2, 0.6, 0.9], {
  name: 'restore',
  args: ['restore', 'latest', '--to-database', 'stopped'],
  whole: restored,
});
const drilled = await report('drill', ['drill']);
await stopAt([0.2, 0.6, 0.9], { name: 'drill', args: ['drill'], whole: drilled });

// In a directory a copy is a link, so it is the bucket that is asked for the time.
await using s3 = await startS3();
const bucket = s3.environment;
const isCopyWanted = values.only === undefined || 'copy'.includes(values.only);
const source = isCopyWanted ? await measure(['run', 'daily'], { more: bucket }) : null;
if (source !== null && source.status !== 0) throw new Error(`The run before the copy ended with ${source.status}`);
const trial: Trial = { program: 'test/faults/campaign/unnamed-program.ts', more: bucket };
const copied = await report('copy', ['copy'], trial);
const forget = async (): Promise<void> => {
  for (const key of await s3.keys())
    if (key.startsWith('weekly/')) await s3.store().remove(key as ObjectKey, { signal: AbortSignal.timeout(60_000) });
};
await forget();
await stopAt([0.4, 0.6, 0.8, 0.9], { name: 'copy', args: ['copy'], whole: copied, trial, after: forget });
