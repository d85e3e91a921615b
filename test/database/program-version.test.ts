// A compiled program is asked for its version once, and anew when it is another one; a script is asked each time.

import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { findClients } from '../../src/database/clients.ts';
import { askVersion } from '../../src/database/program-version.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const program = 'pg_dump';
// Nothing is started with it.
const stopped = AbortSignal.abort(new Error('it would have been started'));

function writeScript(file: string, version: string): void {
  writeFileSync(file, `#!/bin/sh\necho 'pg_dump (PostgreSQL) ${version}'\n`, { mode: 0o755 });
}

it('remembers a compiled program by its file, until that is another one', async () => {
  using folder = temporaryDirectory();
  const [installed] = await findClients({ directory: null, path: process.env['PATH'] ?? '', signal });
  assert.ok(installed !== undefined);
  const file = path.join(folder.path, 'pg_dump');
  copyFileSync(path.join(installed.directory, 'pg_dump'), file);
  await assert.rejects(askVersion(file, { program, signal: stopped }), /would have been started/);
  const { major, version } = installed;
  assert.deepEqual(await askVersion(file, { program, signal }), { major, version });
  assert.deepEqual(await askVersion(file, { program, signal: stopped }), { major, version });
  chmodSync(file, 0o644);
  await assert.rejects(askVersion(file, { program, signal }), /EACCES/);
  chmodSync(file, 0o755);
  // In place: what is open or mapped of it stays what it was.
  writeScript(file, '99.1');
  assert.deepEqual(await askVersion(file, { program, signal }), { major: 99, version: '99.1' });
});

it('asks a script each time, for what it starts may change', async () => {
  using folder = temporaryDirectory();
  const file = path.join(folder.path, 'pg_dump');
  for (const version of ['18beta1', '18.1']) {
    writeScript(file, version);
    assert.deepEqual(await askVersion(file, { program, signal }), { major: 18, version });
  }
  await assert.rejects(askVersion(file, { program, signal: stopped }), /would have been started/);
  await assert.rejects(askVersion(file, { program: 'postgres', signal }), /answered 'pg_dump \(PostgreSQL\) 18\.1'/);
});
