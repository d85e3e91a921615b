// What a backup costs whoever uses the database meanwhile: pgbench's latency alone, beside the classic script, and beside this
// program, in one group of processes and, where control groups of Linux can be made (as root, version 1), in two as containers are.
//
//   npm run bench:neighbour -- [--megabytes 100] [--seconds 25] [--rate 200] [--only REGEX] [--json FILE]

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { databaseEnvironment } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { imageEnvironment } from './image-environment.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100' },
    seconds: { type: 'string', default: '25' },
    rate: { type: 'string', default: '200' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const groups = '/sys/fs/cgroup/cpu';
const hasGroups = process.getuid?.() === 0 && existsSync(`${groups}/cpu.shares`);

using scratch = temporaryDirectory();
chmodSync(scratch.path, 0o755);
await using server = await startPostgres({ major: 15, settings: { max_wal_size: '2GB' } });
await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: Number(values.megabytes) });
await server.createDatabase('neighbour');
const programs = linkPrograms(path.join(scratch.path, 'bin'), 15);
const temporary = path.join(scratch.path, 'tmp');
const backups = path.join(scratch.path, 'backups');
for (const folder of [temporary, backups]) mkdirSync(folder);
const connection = server.mastodon('mastodon_production');
const libpq = {
  PATH: process.env['PATH'],
  PGHOST: connection.host,
  PGPORT: String(connection.port),
  PGUSER: connection.user,
  PGPASSWORD: connection.password,
};
const pgbench = { env: { ...libpq, PGDATABASE: 'neighbour' }, cwd: temporary };
execFileSync('pgbench', ['-i', '-q', '-s', '10'], { ...pgbench, stdio: 'ignore' });
const postmaster = String((await server.query(`select pg_read_file('postmaster.pid') as text`))[0]?.['text']).split(
  '\n',
)[0];

interface Neighbour {
  readonly name: string;
  readonly command: readonly [string, readonly string[]] | null;
  readonly niceness: number;
  /** Its `cpu.shares`; null: it is in the group that the server is in. */
  readonly shares: number | null;
}

const script = `${programs}/pg_dump -Fc -Z 0 mastodon_production | xz -T4 > ${temporary}/dump.xz`;
const shell = ['/bin/bash', ['--norc', '-c', script]] as const;
const ours = [process.execPath, ['--max-semi-space-size=2', main, 'run', 'daily', '--json']] as const;
const neighbours: readonly Neighbour[] = [
  { name: 'alone', command: null, niceness: 0, shares: null },
  { name: 'beside the script, xz -T4', command: shell, niceness: 0, shares: null },
  { name: 'beside ours, BACKUP_NICE=0', command: ours, niceness: 0, shares: null },
  { name: 'beside ours, as it is (10)', command: ours, niceness: 10, shares: null },
  ...(hasGroups
    ? [
        { name: 'two containers: beside the script, xz -T4', command: shell, niceness: 0, shares: 1024 },
        { name: 'two containers: beside ours, cpu_shares 1024', command: ours, niceness: 10, shares: 1024 },
        { name: 'two containers: beside ours, cpu_shares 256', command: ours, niceness: 10, shares: 256 },
      ]
    : []),
  { name: 'alone, again', command: null, niceness: 0, shares: null },
].filter(({ name }) => new RegExp(values.only).test(name));

function moveTo(group: string, id: string | number | undefined): void {
  writeFileSync(path.join(groups, group, 'cgroup.procs'), String(id));
}

function makeGroup(name: string, shares: number): void {
  mkdirSync(path.join(groups, name), { recursive: true });
  writeFileSync(path.join(groups, name, 'cpu.shares'), String(shares));
}

function childrenOf(id: number | undefined): readonly number[] {
  return readFileSync(`/proc/${id}/task/${id}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
}

/** The latencies of transactions, in milliseconds, sorted. */
async function latencies(group: string | null): Promise<readonly number[]> {
  const prefix = path.join(temporary, `latency-${Date.now()}`);
  const args = ['-n', '-c', '4', '-j', '1', '-R', values.rate, '-T', values.seconds, '-l', `--log-prefix=${prefix}`];
  const child = spawn('pgbench', args, { ...pgbench, stdio: 'ignore' });
  if (group !== null) moveTo(group, child.pid);
  await new Promise((resolve) => child.once('close', resolve));
  const logs = readdirSync(temporary).filter((name) => path.join(temporary, name).startsWith(prefix));
  const lines = logs.flatMap((name) => readFileSync(path.join(temporary, name), 'utf8').trim().split('\n'));
  return lines.map((line) => Number(line.split(' ')[2]) / 1_000).toSorted((a, b) => a - b);
}

const rows: { readonly name: string; readonly medianMs: number; readonly p99Ms: number; readonly count: number }[] = [];
for (const { name, command, niceness, shares } of neighbours) {
  if (shares !== null) {
    makeGroup('bench-database', 1024);
    makeGroup('bench-backup', shares);
    moveTo('bench-database', postmaster);
  }
  const env = {
    ...libpq,
    ...databaseEnvironment(connection),
    LOCAL_DOMAIN: 'social.example',
    BACKUP_LOCAL_DIR: backups,
    BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
    BACKUP_SCRATCH_DIR: temporary,
    BACKUP_PG_BIN: programs,
    BACKUP_NICE: String(niceness),
    BACKUP_LOG_LEVEL: 'warn',
    ...imageEnvironment,
  };
  const child = command === null ? null : spawn(command[0], [...command[1]], { env, stdio: 'ignore' });
  if (shares !== null && child !== null) moveTo('bench-backup', child.pid);
  // The dump has begun, and all threads compress.
  if (child !== null) await sleep(5_000);
  const found = await latencies(shares === null ? null : 'bench-database');
  const isOn = child === null || child.exitCode === null;
  if (child !== null && isOn) {
    const ended = new Promise((resolve) => child.once('close', resolve));
    // A shell leaves behind what it has started.
    if (command === shell) for (const id of childrenOf(child.pid)) process.kill(id);
    child.kill('SIGTERM');
    await ended;
  }
  if (shares !== null) {
    writeFileSync(`${groups}/cgroup.procs`, String(postmaster));
    for (const id of readFileSync(`${groups}/bench-database/cgroup.procs`, 'utf8').trim().split('\n').filter(Boolean))
      try {
        writeFileSync(`${groups}/cgroup.procs`, id);
      } catch {
        // It ended.
      }
  }
  const at = (share: number): number =>
    found[Math.min(found.length - 1, Math.floor(found.length * share))] ?? Number.NaN;
  rows.push({ name: isOn ? name : `${name} (ended before)`, medianMs: at(0.5), p99Ms: at(0.99), count: found.length });
  process.stderr.write(`${name}: median ${at(0.5).toFixed(2)} ms, p99 ${at(0.99).toFixed(1)} ms, ${found.length}\n`);
  await sleep(1_000);
}
for (const name of ['bench-database', 'bench-backup'])
  if (existsSync(path.join(groups, name))) rmdirSync(path.join(groups, name));

const alone = rows[0]?.medianMs ?? Number.NaN;
const lines = [
  '| pgbench | median, ms | against alone | p99, ms |',
  '|---|---:|---:|---:|',
  ...rows.map(
    ({ name, medianMs, p99Ms }) =>
      `| ${[name, medianMs.toFixed(2), (medianMs / alone).toFixed(2), p99Ms.toFixed(1)].join(' | ')} |`,
  ),
];
process.stdout.write(`${lines.join('\n')}\n`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 2));
