// A command as a whole: how long, how much processor, and how much memory all of its processes held together at their worst, which
// is what a small server has to have.

import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

/** What a command took. */
export interface Measured {
  readonly status: number | null;
  readonly wallSeconds: number;
  /** User and system time of it and of all that it started. */
  readonly cpuSeconds: number;
  /** Most proportional set size of all of them at one moment, in bytes. */
  readonly peakBytes: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Between two looks, in milliseconds. */
const lookEveryMs = 100;
/** `_SC_CLK_TCK` of Linux. */
const ticksPerSecond = 100;

/** Runs a command to its end. */
export async function measure(
  file: string,
  { args, env }: { readonly args: readonly string[]; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<Measured> {
  const startedAt = performance.now();
  const ticksBefore = ownChildTicks();
  const child = spawn(file, [...args], { env: { ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let peakBytes = 0;
  const timer = setInterval(() => {
    peakBytes = Math.max(peakBytes, memoryOf(child.pid));
  }, lookEveryMs);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearInterval(timer);
  return {
    status,
    wallSeconds: (performance.now() - startedAt) / 1_000,
    cpuSeconds: (ownChildTicks() - ticksBefore) / ticksPerSecond,
    peakBytes,
    stdout,
    stderr,
  };
}

// proc(5): cutime and cstime, the times of children that were waited for, and of theirs.
function ownChildTicks(): number {
  const fields = statOf('self');
  return Number(fields[13]) + Number(fields[14]);
}

// From the state on: a name may have spaces and parentheses in it.
function statOf(id: string): readonly string[] {
  const text = readFileSync(`/proc/${id}/stat`, 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ');
}

function memoryOf(root: number | undefined): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      parents.set(Number(name), Number(statOf(name)[1]));
    } catch {
      // It ended.
    }
  }
  const isOurs = (id: number): boolean => {
    for (let at: number | undefined = id; at !== undefined && at > 1; at = parents.get(at))
      if (at === root) return true;
    return false;
  };
  let bytes = 0;
  for (const id of parents.keys()) {
    if (!isOurs(id)) continue;
    try {
      const [, kilobytes = '0'] = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${id}/smaps_rollup`, 'utf8')) ?? [];
      bytes += Number(kilobytes) * 1_024;
    } catch {
      // It ended.
    }
  }
  return bytes;
}

/** The middle one of some numbers. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2;
}
