// Loaded before a command (`node --import`): writes, when it ends, how long its event loop was ever kept from its work, in
// milliseconds, into the file that BENCH_DELAY_FILE names. The last delay of all, the one before the exit, counts as well.

import { writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

const file = process.env['BENCH_DELAY_FILE'];
delete process.env['BENCH_DELAY_FILE'];
const resolution = 10;
// What is loaded and compiled at the start is no work of the loop.
setTimeout(() => {
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  let lastTick = performance.now();
  setInterval(() => {
    lastTick = performance.now();
  }, resolution).unref();
  process.once('exit', () => {
    const longest = Math.max(histogram.max / 1e6, performance.now() - lastTick) - resolution;
    const percentile = histogram.percentile(99.9) / 1e6 - resolution;
    if (file !== undefined)
      writeFileSync(file, JSON.stringify({ longestMs: Math.round(longest), mostlyMs: Math.round(percentile) }));
  });
}, 1_000).unref();
