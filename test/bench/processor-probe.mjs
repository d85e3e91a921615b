// Loaded before a command (`node --import`): writes, when it ends, what it used of a processor in milliseconds and the most memory it
// held in MiB, into the file that BENCH_PROCESSOR_FILE names.

import { writeFileSync } from 'node:fs';

const file = process.env['BENCH_PROCESSOR_FILE'];
delete process.env['BENCH_PROCESSOR_FILE'];
process.once('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  const figures = { usedMs: Math.round((userCPUTime + systemCPUTime) / 1_000), mostMiB: Math.round(maxRSS / 1_024) };
  if (file !== undefined) writeFileSync(file, JSON.stringify(figures));
});
