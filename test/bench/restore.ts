// The stock commands against this program, from the same object into the same server, by turns: what a restore takes.
//
//   npm run bench:restore -- [--megabytes 100] [--level 6] [--rounds 3] [--only REGEX] [--json FILE]

import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { measure, median, type Measured } from './measured.ts';
import { builtProgram, openStage } from './stage.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '100' },
    // Of xz: to make the backup is not what is measured.
    level: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    json: { type: 'string' },
  },
});
const mib = 1_048_576;

// Who may create a database: the restore as an administrator makes it.
await using stage = await openStage({ megabytes: Number(values.megabytes), user: 'superuser' });
const { server, s3, programs, temporary } = stage;
const ours = { ...stage.ours, BACKUP_COMPRESSION_LEVEL: values.level };
// Not synchronously: the S3 server is in this process.
const backup = await measure(process.execPath, { args: [...builtProgram, 'run', 'daily', '--json'], env: ours });
if (backup.status !== 0) throw new Error(backup.stderr);
const key = (await s3.keys()).find((one) => one.endsWith('.dump.xz')) ?? '';
const stock = {
  ...stage.libpq,
  RCLONE_CONFIG_B_TYPE: 's3',
  RCLONE_CONFIG_B_PROVIDER: 'Other',
  RCLONE_CONFIG_B_ENDPOINT: s3.endpoint,
  RCLONE_CONFIG_B_ACCESS_KEY_ID: 'test',
  RCLONE_CONFIG_B_SECRET_ACCESS_KEY: 'test',
};
const stream = `rclone cat b:${s3.bucket}/${key} | xz -d -T0`;
const streamed = `${stream} | ${programs}/pg_restore --no-owner --role=mastodon -d restored`;
const shell = (name: string, text: string) => ({
  name,
  file: '/bin/bash',
  args: [
    '--norc',
    '-c',
    `set -e -o pipefail; psql -qd postgres -c 'create database restored owner mastodon template template0'; ${text}`,
  ],
  env: stock,
});
const program = (name: string, args: readonly string[]) => ({
  name,
  file: process.execPath,
  args: [...builtProgram, 'restore', 'latest', '--to-database', 'restored', ...args],
  env: ours,
});
const contenders = [
  shell('stock: xz -d | pg_restore', streamed),
  shell('stock, and analyze', `${streamed}; psql -qd restored -c analyze`),
  shell(
    'stock: xz -d to a file, pg_restore -j2',
    `${stream} > ${temporary}/file; ${programs}/pg_restore -j2 --no-owner --role=mastodon -d restored ${temporary}/file; rm ${temporary}/file`,
  ),
  program('ours', []),
  program('ours, --jobs 2', ['--jobs', '2']),
].filter(({ name }) => new RegExp(values.only).test(name));

const rows: (Measured & { readonly name: string })[] = [];
for (let round = 1; round <= Number(values.rounds); round += 1) {
  for (const contender of contenders) {
    await server.query('checkpoint');
    const measured = await measure(contender.file, contender);
    if (measured.status !== 0) throw new Error(`${contender.name} ended with ${measured.status}: ${measured.stderr}`);
    rows.push({ name: contender.name, ...measured });
    await server.query('drop database restored');
    process.stderr.write(`round ${round}: ${contender.name}: ${measured.wallSeconds.toFixed(1)} s\n`);
  }
}

const of = (name: string, value: (row: Measured) => number): number =>
  median(rows.filter((row) => row.name === name).map(value));
const [first] = contenders;
const lines = [
  `${values.megabytes} MB of database, ${availableParallelism()} cores, medians of ${values.rounds}`,
  '',
  '| what | seconds | ratio (lowest to highest) | processor seconds | peak memory, MiB |',
  '|---|---:|---:|---:|---:|',
  ...contenders.map(({ name }) => {
    const others = rows.filter((row) => row.name === first?.name);
    const ratios = rows
      .filter((row) => row.name === name)
      .map((row, round) => row.wallSeconds / (others[round]?.wallSeconds ?? Number.NaN));
    const cells = [
      name,
      of(name, (row) => row.wallSeconds).toFixed(1),
      `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
      of(name, (row) => row.cpuSeconds).toFixed(1),
      (of(name, (row) => row.peakBytes) / mib).toFixed(0),
    ];
    return `| ${cells.join(' | ')} |`;
  }),
];
process.stdout.write(`${lines.join('\n')}\n`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 2));
