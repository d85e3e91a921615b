// How much memory this process may plan with: half of what its control group allows, or of what the machine has to spare.

import { readFile } from 'node:fs/promises';
import { freemem } from 'node:os';

/** Half of the cgroup limit (v2, then v1), else half of MemAvailable; in bytes. */
export async function defaultMemoryLimit(): Promise<number> {
  // MemAvailable, where the system has it.
  const available = freemem();
  const limits = await Promise.all(
    ['/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes'].map(async (file) =>
      Number((await readFile(file, 'utf8').catch(() => 'max')).trim()),
    ),
  );
  const limit = limits.find((value) => Number.isFinite(value) && value > 0);
  return Math.floor(Math.min(limit ?? available, available) / 2);
}
