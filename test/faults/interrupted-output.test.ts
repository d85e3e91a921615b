// A restore into a file is told to stop at any moment, that of the file's opening included: it ends with the reason, without an
// error that nobody hears, and leaves no file.

import assert from 'node:assert/strict';
import { mkdirSync, readdirSync } from 'node:fs';
import { it } from 'node:test';
import { openApp } from '../support/app.ts';
import { startStage } from './support.ts';

it('an output that is interrupted at any moment ends with the reason and leaves nothing', async () => {
  await using stage = await startStage({ megabytes: 1 });
  const directory = `${stage.scratch}/backups`;
  const outputs = `${stage.scratch}/outputs`;
  mkdirSync(directory);
  mkdirSync(outputs);
  const environment = Object.fromEntries(
    Object.entries({ ...stage.environment, BACKUP_LOCAL_DIR: directory }).filter(
      ([name]) => !name.startsWith('BACKUP_S3'),
    ),
  );
  await using app = openApp(environment);
  const never = new AbortController().signal;
  await app.run({
    purpose: { kind: 'by hand', tier: 'daily' },
    wait: false,
    signal: never,
    onProgress: () => undefined,
  });
  // An error event that nobody hears, or a rejection that nobody handles, fails the test by itself.
  let interrupted = 0;
  for (let turns = 0; turns < 120; turns += 1) {
    const stop = new AbortController();
    const reason = new Error('told to stop');
    const work = app
      .restoreFile({
        snapshot: 'latest',
        from: null,
        instance: null,
        identities: [],
        output: `${outputs}/dump-${turns}`,
        signal: stop.signal,
        onProgress: () => undefined,
      })
      .then(
        () => undefined,
        (error: unknown) => error,
      );
    for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    stop.abort(reason);
    const error = await work;
    if (error === undefined) continue;
    interrupted += 1;
    assert.equal(error, reason);
    assert.deepEqual(
      readdirSync(outputs).filter((name) => name.startsWith(`dump-${turns}`)),
      [],
    );
  }
  assert.ok(interrupted > 20, `${interrupted} were interrupted`);
});
