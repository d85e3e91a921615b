// Whether time grows as the database does, and memory does not: one database, and then the same with so many copies of its rows in
// tables of their own. By hand: it takes as much room on the disk as all of that, twice.
//
//   npm run build && node test/bench/scale.ts [--megabytes 1000] [--copies 9] [--compressions none,zstd] [--json FILE]

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { escapeIdentifier } from 'pg';
import type { ObjectKey } from '../../src/storage/store.ts';
import { measure } from './measured.ts';
import { builtProgram, openStage } from './stage.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    copies: { type: 'string', default: '9' },
    compressions: { type: 'string', default: 'none,zstd' },
    json: { type: 'string' },
  },
});
const mib = 1_048_576;

await using stage = await openStage({ megabytes: Number(values.megabytes), user: 'mastodon', on: 'disk' });
const { server, s3, connection } = stage;
const backups = path.join(stage.folder, 'backups');

interface Row {
  readonly compression: string;
  readonly dumpBytes: number;
  readonly objectBytes: number;
  /** Requests that carried a part of it. */
  readonly parts: number;
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
}

const rows: Row[] = [];
await measureAll();
await copyRows(Number(values.copies));
await measureAll();

const lines = [
  '| compression | dump, MiB | object, MiB | parts | seconds | a second, MiB | processor seconds | peak memory, MiB |',
  '|---|---:|---:|---:|---:|---:|---:|---:|',
  ...rows.map((row) => {
    const dump = row.dumpBytes / mib;
    const rest = [row.wallSeconds, dump / row.wallSeconds, row.cpuSeconds, row.peakBytes / mib];
    return `| ${[row.compression, dump.toFixed(0), (row.objectBytes / mib).toFixed(0), row.parts, ...rest.map((one) => one.toFixed(1))].join(' | ')} |`;
  }),
];
process.stdout.write(`${lines.join('\n')}\n`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify(rows, null, 2));

async function measureAll(): Promise<void> {
  for (const compression of values.compressions.split(',')) rows.push(await measureOne(compression));
}

// What is not compressed would not fit into a bucket that is kept in memory.
async function measureOne(compression: string): Promise<Row> {
  mkdirSync(backups);
  s3.seen.length = 0;
  const isInBucket = compression !== 'none';
  const others = Object.entries(stage.ours).filter(([name]) => !(name in s3.environment));
  const place = isInBucket ? s3.environment : { BACKUP_LOCAL_DIR: backups };
  const env = {
    ...Object.fromEntries(others),
    ...place,
    BACKUP_COMPRESSION: compression,
    BACKUP_ALLOW_PLAINTEXT: 'true',
  };
  const ran = await measure(process.execPath, { args: [...builtProgram, 'run', 'daily', '--json'], env });
  if (ran.status !== 0) throw new Error(ran.stderr);
  const { dumpBytes, objectBytes } = JSON.parse(ran.stdout) as Pick<Row, 'dumpBytes' | 'objectBytes'>;
  const parts = s3.seen.filter(({ method, query }) => method === 'PUT' && query.has('partNumber')).length;
  const keys = await s3.keys();
  const store = s3.store();
  const signal = AbortSignal.timeout(60_000);
  for (const key of keys) await store.remove(key as ObjectKey, { signal });
  rmSync(backups, { recursive: true });
  process.stderr.write(`${compression}, ${(dumpBytes / mib).toFixed(0)} MiB: ${ran.wallSeconds.toFixed(1)} s\n`);
  const { wallSeconds, cpuSeconds, peakBytes } = ran;
  return { compression, dumpBytes, objectBytes, parts, wallSeconds, cpuSeconds, peakBytes };
}

async function copyRows(copies: number): Promise<void> {
  const { database } = connection;
  const tables = await server.query(
    "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace and relpages > 100",
    database,
  );
  for (let copy = 1; copy <= copies; copy += 1) {
    await server.query(`create schema copy_${copy} authorization mastodon`, database);
    for (const { relname } of tables) {
      const name = escapeIdentifier(String(relname));
      await server.query(
        `create table copy_${copy}.${name} as table public.${name}; alter table copy_${copy}.${name} owner to mastodon`,
        database,
      );
    }
  }
  await server.query('checkpoint', database);
}
