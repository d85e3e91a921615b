// A pg_restore that says that all went well and did nothing: the target is asked, and what it says is a restore that failed.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { databaseEnvironment, runCommand } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { findClients } from '../../src/database/clients.ts';

it('takes no word of a pg_restore for a database, and is no unexpected failure', async () => {
  using scratch = temporaryDirectory();
  await using server = await startPostgres({ major: 15 });
  await server.query('alter role mastodon createdb');
  await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
  const [client] = await findClients({ directory: null, path: '', signal: AbortSignal.timeout(30_000) });
  const programs = path.join(scratch.path, 'bin');
  const backups = path.join(scratch.path, 'backups');
  for (const folder of [programs, backups]) mkdirSync(folder);
  for (const [name, script] of [
    ['pg_dump', 'exec "$real" "$@"'],
    ['pg_restore', 'case " $* " in *" --version "*|*" --list "*) exec "$real" "$@" ;; esac; cat > /dev/null'],
  ] as const) {
    const file = path.join(programs, name);
    writeFileSync(file, `#!/bin/bash\nreal='${client?.directory ?? ''}/${name}'\n${script}\n`);
    chmodSync(file, 0o755);
  }
  const environment = {
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    LOCAL_DOMAIN: 'social.example',
    BACKUP_LOCAL_DIR: backups,
    BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
    BACKUP_SCRATCH_DIR: path.join(scratch.path, 'scratch'),
    BACKUP_PG_BIN: programs,
    BACKUP_COMPRESSION: 'none',
  };
  const run = await runCommand(['run'], environment);
  assert.equal(run.status, 0, run.stderr);
  const restored = await runCommand(['restore', 'latest', '--to-database', 'wanted'], environment);
  assert.equal(restored.status, 20, restored.stderr);
  assert.match(
    restored.stderr,
    /mastodon-backup: The target server refused what the restore asked of it: .+\. Look at/,
  );
  assert.deepEqual(await server.query("select from pg_database where datname like 'wanted%'"), []);
});
