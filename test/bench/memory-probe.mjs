// Loaded before a command (`node --import`): writes every second what the process holds, in MiB, into the file that
// BENCH_MEMORY_FILE names: all of it, what JavaScript uses of its heap, and what lies beside that.

import { appendFileSync } from 'node:fs';

const file = process.env['BENCH_MEMORY_FILE'];
delete process.env['BENCH_MEMORY_FILE'];
const mebibytes = (bytes) => Math.round(bytes / 2 ** 20);

if (file !== undefined)
  setInterval(() => {
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage();
    const figures = { rss, heapTotal, heapUsed, external, arrayBuffers };
    const line = Object.fromEntries(Object.entries(figures).map(([name, bytes]) => [name, mebibytes(bytes)]));
    appendFileSync(file, `${JSON.stringify(line)}\n`);
  }, 1_000).unref();
