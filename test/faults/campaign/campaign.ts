// `npm run test:faults -- --minutes N --seed S [--faults N]`: thousands of faults, drawn from a seed, each tried on one operation and
// judged by what must hold after any. `--fault INDEX` repeats one alone; `--only REGEX` takes those whose description matches;
// `--plants` tries whether bugs that are planted on purpose are caught.

import { fork, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { drawCase, removeHome, verdictOf, type Verdict } from './fault-case.ts';
import { operations, type Fault, type Operation } from './fault.ts';
import type { LaneOrder } from './lane.ts';
import { tryPlants } from './plants.ts';
import { renderReport, renderViolations } from './report.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    faults: { type: 'string' },
    fault: { type: 'string' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    lanes: { type: 'string', default: '2' },
    operation: { type: 'string' },
    family: { type: 'string' },
    only: { type: 'string' },
    plant: { type: 'string' },
    plants: { type: 'boolean', default: false },
    until: { type: 'string' },
    verbose: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed);
const only: LaneOrder['only'] = {
  operation: operations.find((one): one is Operation => one === values.operation),
  family: values.family as Fault['family'] | undefined,
};
/** What a fault was drawn with, which it must be drawn with again. */
const narrowed = (['operation', 'family'] as const).flatMap((name) => {
  const value = values[name];
  return value === undefined ? [] : [`--${name} ${value}`];
});
const alone = values.fault === undefined ? undefined : Number(values.fault);
const mostFaults =
  alone === undefined ? Number(values.faults ?? (values.minutes === undefined ? 300 : Number.POSITIVE_INFINITY)) : 1;
const minutes = Number(values.minutes ?? 600);
const lanes = Math.min(Number(values.lanes), mostFaults);
/** So many faults are drawn to find one that is meant. */
const mostDrawn = 100_000;
/** A lane that says nothing for so long hangs, in milliseconds. */
const silenceMs = 420_000;

const pattern = new RegExp(values.only ?? '');
const isMeant = (index: number): boolean => pattern.test(verdictOf(drawCase(seed, index, only)).what);

if (values.plants || values.plant !== undefined) {
  const each = { seed, lanes, minutes: Number(values.minutes ?? 5) };
  process.exit((await tryPlants(values.plant ?? 'all', each)) ? 0 : 1);
}

const home = mkdtempSync(path.join(tmpdir(), 'mastodon-backup-campaign-'));
chmodSync(home, 0o755);
const startedAt = performance.now();
const verdicts: Verdict[] = [];
let next = alone ?? 0;
let begun = 0;
let stopping = false;
process.once('SIGINT', () => {
  stopping = true;
});

try {
  await Promise.all(Array.from({ length: lanes }, async () => liveAsLane()));
} finally {
  unmountBelow(home);
  removeHome(home);
}
const passed = (performance.now() - startedAt) / 60_000;
process.stdout.write(`\n${renderReport(verdicts, { seed, minutes: passed })}`);
process.exitCode = verdicts.length > 0 && verdicts.every(({ violations }) => violations.length === 0) ? 0 : 1;

// A lane that dies is followed by another one.
async function liveAsLane(): Promise<void> {
  while (takeNumber({ peek: true }) !== null) await liveOnce();
}

async function liveOnce(): Promise<void> {
  const order: LaneOrder = { home, seed, only };
  const lane = fork(fileURLToPath(new URL('lane.ts', import.meta.url)), [JSON.stringify(order)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  let current: ReturnType<typeof verdictOf> | undefined;
  let watchdog: NodeJS.Timeout | undefined;
  const heard = (): void => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => lane.kill('SIGKILL'), silenceMs);
  };
  heard();
  lane.on('message', (message: LaneMessage) => {
    heard();
    if (message.kind === 'began') {
      current = message.began;
      if (values.verbose) process.stdout.write(`${message.began.index} ${message.began.what}\n`);
      return;
    }
    if (message.kind === 'verdict') {
      record(message.verdict);
      current = undefined;
      // What hangs in the lane hangs there until it is gone.
      if (message.verdict.violations.some((text) => text.includes('did not end') || text.includes('does not end'))) {
        lane.kill('SIGKILL');
        return;
      }
    }
    giveNumber(lane);
  });
  await new Promise<void>((resolve) => lane.once('exit', () => resolve()));
  clearTimeout(watchdog);
  if (current !== undefined)
    record({ ...current, status: null, notes: [], seconds: 0, violations: ['the lane died or hung'] });
}

type LaneMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'began'; readonly began: ReturnType<typeof verdictOf> }
  | { readonly kind: 'verdict'; readonly verdict: Verdict };

function giveNumber(lane: ChildProcess): void {
  const number = takeNumber({ peek: false });
  // One that died in the meantime is followed by another, which takes a number of its own.
  if (lane.connected) lane.send(number as unknown as number, () => undefined);
}

function takeNumber({ peek }: { readonly peek: boolean }): number | null {
  const isOver = stopping || begun >= mostFaults || performance.now() - startedAt > minutes * 60_000;
  if (isOver) return null;
  // A pattern may be one that no fault is described by.
  for (let drawn = 0; !isMeant(next); drawn += 1) {
    if (drawn === mostDrawn) throw new Error(`Of ${mostDrawn} faults none is described by ${pattern}`);
    next += 1;
  }
  if (peek) return next;
  begun += 1;
  next += 1;
  return next - 1;
}

function record(verdict: Verdict): void {
  verdicts.push(verdict);
  if (verdict.violations.length > 0) {
    process.stdout.write(renderViolations(verdict, { seed, tried: verdicts.length, narrowed }));
    if (values.until !== undefined && verdict.violations.join('\n').includes(values.until)) stopping = true;
  }
  if (values.verbose)
    process.stdout.write(
      `${verdict.index} ended with ${verdict.status}, ${verdict.seconds.toFixed(1)} s ${verdict.notes.join('; ')}\n`,
    );
  if (verdicts.length % 100 === 0)
    process.stdout.write(
      `${verdicts.length} faults, ${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes\n`,
    );
}

// A lane that was killed left its disks mounted.
function unmountBelow(directory: string): void {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '');
  for (const mount of mounts.toReversed()) if (mount.startsWith(`${directory}/`)) spawnSync('umount', ['-l', mount]);
}
