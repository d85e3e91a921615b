// What kills leave half made in the state directory goes with a later run, and nothing else does.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { takeLock } from '../../src/state/lock.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it('what was half made when a process was killed goes with a later run, when it is old', async () => {
  using directory = temporaryDirectory();
  const old = new Date(Date.now() - 3_600_000);
  const put = (name: string, at: Date): void => {
    const file = path.join(directory.path, name);
    if (name.startsWith('.probe')) mkdirSync(file);
    else writeFileSync(file, '');
    utimesSync(file, at, at);
  };
  const halfMade = [
    'run.lock.0123abcd',
    'state.lock.0123abcd-t',
    'open.lock.0123abcd',
    'pitr.lock.0123abcd-t',
    'base.lock.0123abcd',
    'attempts.json.89abcdef',
    '.probe.098be5ce',
    'manifests-s3.10001.89abcdef',
    '0123456789ab.manifests-s3.10001.89abcdef',
    '0123456789ab.attempts.json.89abcdef',
  ];
  const others = [
    'attempts.json',
    'notes.txt',
    'run.lock.txt',
    'state.lock.0123abcde',
    'manifests-s3.10001',
    '0123456789ab.attempts.json',
    '0123456789a.attempts.json.89abcdef',
  ];
  for (const name of [...halfMade, ...others]) put(name, old);
  put('drill.lock.76543210', new Date());
  await using _lock = await takeLock({
    directory: directory.path,
    name: 'run',
    holder: { command: 'run daily', processId: process.pid },
    now: () => new Date(),
    wait: false,
    signal: AbortSignal.timeout(10_000),
    log: quietLog,
  });
  assert.deepEqual(readdirSync(directory.path).toSorted(), [...others, 'drill.lock.76543210', 'run.lock'].toSorted());
});
