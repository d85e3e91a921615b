// Who stands back and who does not.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { getPriority, setPriority } from 'node:os';
import { it } from 'node:test';
import { startChild } from '../../src/stream/child.ts';
import { makeNice } from '../../src/stream/niceness.ts';

const own = getPriority();

it('a child stands back as far as it is told to, with all that it starts, and by default no further than we do', async () => {
  for (const [niceness, expected] of [
    [7, 7],
    [19, 19],
    [0, own],
    [undefined, own],
  ] as const) {
    const child = startChild('/bin/sh', {
      args: ['-c', 'sleep 0.2; sh -c nice'],
      env: { PATH: process.env['PATH'] ?? '' },
      ...(niceness === undefined ? {} : { niceness }),
    });
    let printed = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
    });
    await child.done;
    assert.equal(Number(printed), expected, String(niceness));
  }
});

it('the threads that compress stand back, and the event loop does not', { skip: process.platform !== 'linux' }, () => {
  // In a process of its own: it would never come back.
  const program = `
    import { readdirSync, readFileSync } from 'node:fs';
    import { makeWorkersNice } from '${new URL('../../src/stream/niceness.ts', import.meta.url).href}';
    await makeWorkersNice(6);
    const all = readdirSync('/proc/self/task').map((id) => {
      const stat = readFileSync('/proc/self/task/' + id + '/stat', 'utf8');
      return [stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[16])];
    });
    console.log(JSON.stringify(all));`;
  const printed = execFileSync(process.execPath, ['--input-type=module', '-e', program], {
    env: { PATH: process.env['PATH'], UV_THREADPOOL_SIZE: '3' },
    encoding: 'utf8',
  });
  const threads = JSON.parse(printed) as [string, number][];
  const nice = threads.filter(([, niceness]) => niceness === 6);
  assert.deepEqual(
    nice,
    Array.from({ length: 3 }, () => ['libuv-worker', 6]),
  );
  assert.ok(threads.length > nice.length);
});

it('what is nicer already stays as nice, also where root could change it', async () => {
  const child = spawn('/bin/sleep', ['10'], { stdio: 'ignore' });
  const id = child.pid ?? assert.fail();
  setPriority(id, 15);
  makeNice(id, 10);
  assert.equal(getPriority(id), 15);
  child.kill('SIGKILL');
  await once(child, 'exit');
});

it('what has ended or may not be changed is no failure', () => {
  makeNice(2 ** 22 + 1, 5);
  makeNice(process.pid, own === 0 ? 0 : own);
  assert.equal(getPriority(), own);
});
