// Whether a process is still there.

import { readFileSync } from 'node:fs';

/** Whether it runs; one that has ended and that nobody has asked for yet does not. */
export function isAlive(processId: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${processId}/status`, 'utf8'));
  } catch {
    return false;
  }
}
