// Unpacking a base backup: what the system takes only a part of is no whole file.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const unpacker = new URL('../../src/pitr/base-reader.ts', import.meta.url).href;
const program = `
  import { readFileSync } from 'node:fs';
  import { Readable } from 'node:stream';
  import { pipeline } from 'node:stream/promises';
  import { createUnpacker } from ${JSON.stringify(unpacker)};
  const [tar, directory] = process.argv.slice(-2);
  const into = createUnpacker(directory, { own: async () => undefined, except: 'pg_wal' });
  await pipeline(Readable.from([readFileSync(tar)]), into).catch((error) => {
    process.stdout.write(error.code);
    process.exitCode = 7;
  });`;

it('a write of which the system takes only a part goes on, and fails where no more of it is taken', () => {
  using folder = temporaryDirectory();
  const at = (name: string): string => join(folder.path, name);
  const content = randomBytes(3_000_000);
  writeFileSync(at('table'), content);
  execFileSync('tar', ['-C', folder.path, '--format=ustar', '-cf', at('base.tar'), 'table']);
  // A file may grow to 0.5 or 1 MB, as the shell counts: the system takes so much of a write, and answers the next with EFBIG.
  for (const [limit, ends] of [
    ['unlimited', { status: 0, stdout: '' }],
    ['1000', { status: 7, stdout: 'EFBIG' }],
  ] as const) {
    const directory = at(limit);
    mkdirSync(directory);
    const { status, stdout, stderr } = spawnSync(
      'sh',
      [
        '-c',
        `ulimit -f ${limit}; exec "$@"`,
        'sh',
        process.execPath,
        '--input-type=module',
        '-e',
        program,
        at('base.tar'),
        directory,
      ],
      { encoding: 'utf8', env: { PATH: process.env['PATH'] } },
    );
    assert.deepEqual({ status, stdout }, ends, stderr);
    if (status === 0) assert.ok(readFileSync(join(directory, 'table')).equals(content));
  }
});
