// Which client programs there are is asked of each program once, and not of what only chooses among them.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { findClients } from '../../src/database/clients.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it('each pg_dump is started once, whatever its directory is called, and the wrapper of Debian never beside others', async () => {
  using folder = temporaryDirectory();
  const inside = (...names: string[]): string => path.join(folder.path, ...names);
  const write = (file: string): void =>
    writeFileSync(file, `#!/bin/sh\necho started >> ${file}.log\necho 'pg_dump (PostgreSQL) 99.1'\n`, { mode: 0o755 });
  mkdirSync(inside('own'));
  write(inside('own', 'pg_dump'));
  symlinkSync(inside('own'), inside('same'));
  mkdirSync(inside('wrapped'));
  write(inside('pg_wrapper'));
  symlinkSync(inside('pg_wrapper'), inside('wrapped', 'pg_dump'));
  const names = ['own', 'wrapped', 'same', 'nothing'].map((name) => inside(name));
  const found = await findClients({
    directory: null,
    path: ['', ...names].join(':'),
    signal: AbortSignal.timeout(30_000),
  });
  assert.deepEqual(found.at(-1), { directory: inside('own'), major: 99, version: '99.1' });
  assert.equal(readFileSync(inside('own', 'pg_dump.log'), 'utf8'), 'started\n');
  assert.ok(!existsSync(inside('pg_wrapper.log')));
  // A directory that somebody names is asked whatever is in it.
  const given = await findClients({ directory: inside('wrapped'), path: '', signal: AbortSignal.timeout(30_000) });
  assert.deepEqual(given, [{ directory: inside('wrapped'), major: 99, version: '99.1' }]);
});
