// A run stands back for whoever else wants the processor, unless it is told not to.

import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import path from 'node:path';
import { it } from 'node:test';
import { databaseEnvironment, runProcess } from '../support/command.ts';
import { createMastodonDatabase } from '../support/mastodon-data.ts';
import { linkPrograms, startPostgres } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it(
  'pg_dump and the threads that compress have the niceness of BACKUP_NICE',
  { skip: process.platform !== 'linux' },
  async () => {
    using scratch = temporaryDirectory();
    await using server = await startPostgres({ major: 15 });
    await createMastodonDatabase(server, { name: 'mastodon_production', megabytes: 1 });
    const programs = linkPrograms(path.join(scratch.path, 'bin'), 15);
    const backups = path.join(scratch.path, 'backups');
    mkdirSync(backups);
    const seen = path.join(scratch.path, 'seen');
    const pgDump = path.join(programs, 'pg_dump');
    const real = path.join(scratch.path, 'real');
    mkdirSync(real);
    const inner = linkPrograms(real, 15);
    rmSync(pgDump);
    // proc(5): after the name in parentheses, the niceness is the seventeenth field.
    writeFileSync(
      pgDump,
      `#!/bin/sh
case "$*" in *--snapshot*) sleep 0.2; nice > ${seen}; cat /proc/$PPID/task/*/stat | sed 's/^[0-9]* (\\(.*\\)) /\\1 /' | awk '{ print $1, $18 }' >> ${seen};; esac
exec ${inner}/pg_dump "$@"
`,
    );
    chmodSync(pgDump, 0o755);
    const own = getPriority();
    for (const [setting, expected] of [
      ['', 10],
      ['4', 4],
      ['0', own],
    ] as const) {
      const { status, stderr } = await runProcess(['run'], {
        ...databaseEnvironment(server.mastodon('mastodon_production')),
        BACKUP_LOCAL_DIR: backups,
        BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
        BACKUP_PG_BIN: programs,
        BACKUP_COMPRESSION_LEVEL: '0',
        BACKUP_NICE: setting,
        LOCAL_DOMAIN: 'social.example',
      });
      assert.equal(status, 0, stderr);
      const [dump, ...threads] = readFileSync(seen, 'utf8').trim().split('\n');
      assert.equal(Number(dump), expected, setting);
      const workers = threads.filter((line) => line.startsWith('libuv-worker '));
      assert.ok(workers.length > 0);
      assert.deepEqual(new Set(workers), new Set([`libuv-worker ${expected}`]), setting);
      assert.ok(threads.includes(`node-MainThread ${own}`), threads.join('; '));
    }
  },
);
