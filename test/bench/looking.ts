// What it takes to look into a snapshot: `open` until its first answer beside the restore of a drill, and `compare` with what it asks of
// the live database.
//
//   node test/bench/looking.ts [--megabytes 300]

import { chmodSync, mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { databaseEnvironment, startCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const { values } = parseArgs({ options: { megabytes: { type: 'string', default: '300' } } });
const name = 'mastodon_production';

using scratch = temporaryDirectory();
// The server of a drill has a user of its own.
chmodSync(scratch.path, 0o755);
await using server = await startPostgres({ major: 15, settings: { max_wal_size: '4GB' } });
await createMastodonDatabase(server, { name, megabytes: Number(values.megabytes) });
mkdirSync(`${scratch.path}/backups`);
const environment = {
  ...databaseEnvironment(server.mastodon(name)),
  BACKUP_LOCAL_DIR: `${scratch.path}/backups`,
  BACKUP_STATE_DIR: `${scratch.path}/state`,
  BACKUP_SCRATCH_DIR: `${scratch.path}/scratch`,
  BACKUP_COMPRESSION: 'zstd',
  BACKUP_COMPRESSION_LEVEL: '3',
  LOCAL_DOMAIN: 'social.example',
};
async function take(args: readonly string[]): Promise<{ readonly seconds: number; readonly stdout: string }> {
  const startedAt = performance.now();
  await using running = startCommand(args, environment);
  const { status, stdout, stderr } = await running.result;
  if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
  return { seconds: (performance.now() - startedAt) / 1_000, stdout };
}
const scans = async (): Promise<number> => {
  const [row] = await server.query(
    'select sum(seq_scan + coalesce(idx_scan, 0))::int as n from pg_stat_user_tables',
    name,
  );
  return Number(row?.['n']);
};

const [size] = await server.query(`select pg_size_pretty(pg_database_size('${name}')) as size`);
console.log(`a database of ${String(size?.['size'])}`);
await take(['run']);
for (const args of [['drill', '--json'], ['open', '--', 'select 1'], ['open', '--', 'select 1'], ['compare']]) {
  const before = await scans();
  const { seconds, stdout } = await take(args);
  const restored = args[0] === 'drill' ? /"(?:restoreMs|durationMs)": \d+/g.exec(stdout)?.[0] : '';
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  console.log(
    `${args.join(' ')}: ${seconds.toFixed(1)} s ${restored ?? ''}, ${(await scans()) - before} scans of the live database`,
  );
}
