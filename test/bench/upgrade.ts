// What an upgrade's downtime is made of: `upgrade run` between two servers of this machine, its own log as the clock.
//
//   node test/bench/upgrade.ts [--megabytes 1000] [--compression xz] [--jobs 1] [--destination s3]

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { databaseEnvironment, startCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { startS3 } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    compression: { type: 'string', default: 'xz' },
    jobs: { type: 'string', default: '1' },
    destination: { type: 'string', default: 'directory' },
  },
});
const name = 'mastodon_production';

using scratch = temporaryDirectory();
await using old = await startPostgres({ major: 14, settings: { max_wal_size: '4GB' } });
await using next = await startPostgres({ major: 15, settings: { max_wal_size: '4GB' } });
await using s3 = await startS3();
await createMastodonDatabase(old, { name, megabytes: Number(values.megabytes) });
await next.query('alter role mastodon createdb');
mkdirSync(`${scratch.path}/backups`);
const [size] = await old.query(`select pg_size_pretty(pg_database_size('${name}')) as size`);
const startedAt = Date.now();
await using running = startCommand(
  [
    'upgrade',
    'run',
    '--to',
    `127.0.0.1:${next.port}`,
    '--json',
    ...(values.jobs === '1' ? [] : ['--jobs', values.jobs]),
  ],
  {
    ...databaseEnvironment(old.mastodon(name)),
    ...(values.destination === 's3' ? s3.environment : { BACKUP_LOCAL_DIR: path.join(scratch.path, 'backups') }),
    BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
    BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
    BACKUP_COMPRESSION: values.compression,
    BACKUP_LOG_FORMAT: 'json',
    LOCAL_DOMAIN: 'social.example',
  },
);
const { status, stdout, stderr } = await running.result;
if (status !== 0) throw new Error(`upgrade run ended with ${status}: ${stderr}`);
console.log(`${String(size?.['size'])}, ${values.compression}, ${values.jobs} jobs, ${values.destination}`);
for (const line of stderr.split('\n').filter((one) => one.startsWith('{'))) {
  const { time, msg } = JSON.parse(line) as { time: string; msg: string };
  console.log(`${((Date.parse(time) - startedAt) / 1_000).toFixed(1).padStart(7)} s  ${msg}`);
}
console.log(`${((Date.now() - startedAt) / 1_000).toFixed(1).padStart(7)} s  end`);
const { durationMs } = JSON.parse(stdout) as { durationMs: number };
console.log(`nobody could write for ${(durationMs / 1_000).toFixed(1)} s`);
