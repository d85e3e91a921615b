// What people are told of a run: made from its outcome and from what the stores held before it. Channels that fail are
// remembered for health and never fail the run.

import type { BackupResult } from '../backup/backup.ts';
import { AppError, describeError } from '../errors.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import type { ComparedSnapshot, RunFailed, RunSucceeded } from '../notify/event.ts';
import { nextSlotOfAny, type Timetable } from '../schedule/timetable.ts';
import { toRecord } from './holdings.ts';

/** A dump below this share of its predecessors' median is reported although it succeeded. */
const shrinkageShare = 0.5;
const predecessors = 5;

/** An event without what every event says. */
type Details<Event> = Omit<Event, 'instance' | 'at'>;

/** What is told of a backup that was made. */
export function successDetails(
  result: BackupResult & { readonly copiedFrom: string | null },
  options: {
    /** The instance's snapshots before this one. */
    readonly before: readonly Manifest[];
    readonly prunedCount: number | null;
    readonly startedAt: Date;
    readonly timetable: Timetable;
    readonly now: Date;
  },
): Details<RunSucceeded> {
  const previous = options.before.find(({ tier }) => tier === result.tier);
  return {
    kind: 'run-succeeded',
    tier: result.tier,
    id: result.id,
    dataAt: result.dataAt.toISOString(),
    durationMs: options.now.getTime() - options.startedAt.getTime(),
    dumpBytes: result.dumpBytes,
    objectBytes: result.objectBytes,
    copiedFrom: result.copiedFrom,
    previous: previous === undefined ? null : compared(previous),
    shrunk: hasShrunk(result.dumpBytes, options.before),
    destinations: result.outcomes.map((outcome) => ({
      place: outcome.destination.repository.store.description,
      status: outcome.kind,
      error: outcome.kind === 'failed' ? outcome.error.message : null,
      hint: outcome.kind === 'failed' ? (outcome.error.hint ?? null) : null,
    })),
    prunedCount: options.prunedCount,
    nextRunAt: nextSlotOfAny(options.timetable, options.now)?.at.toISOString() ?? null,
    warnings: result.warnings,
  };
}

/** What is told of a run of which no backup came. */
export function failureDetails(
  error: unknown,
  options: {
    readonly tier: string;
    /** Whether people know of it. */
    readonly repeated: boolean;
    readonly before: readonly Manifest[];
    readonly timetable: Timetable;
    readonly now: Date;
  },
): Details<RunFailed> {
  return {
    kind: 'run-failed',
    tier: options.tier,
    repeated: options.repeated,
    step: error instanceof AppError ? error.code : 'unexpected',
    message: describeError(error),
    hint: error instanceof AppError ? (error.hint ?? null) : null,
    lastGoodAt: options.before[0]?.dataAt.toISOString() ?? null,
    nextRunAt: nextSlotOfAny(options.timetable, options.now)?.at.toISOString() ?? null,
  };
}

/** Whether a dump is much smaller than the last ones; copies are looked at once, as what they are copies of. */
function hasShrunk(dumpBytes: number, before: readonly Manifest[]): boolean {
  const dumps = before
    .filter(({ copiedFrom }) => copiedFrom === null)
    .slice(0, predecessors)
    .map((manifest) => dumpOf(manifest).content.bytes)
    .toSorted((a, b) => a - b);
  const median = dumps[Math.floor(dumps.length / 2)];
  return median !== undefined && dumpBytes < median * shrinkageShare;
}

function compared(manifest: Manifest): ComparedSnapshot {
  const { startedAt, committedAt } = toRecord(manifest);
  return {
    dataAt: manifest.dataAt.toISOString(),
    dumpBytes: dumpOf(manifest).content.bytes,
    objectBytes: dumpOf(manifest).bytes,
    // A copy took no time worth comparing with.
    durationMs: manifest.copiedFrom === null ? committedAt.getTime() - startedAt.getTime() : null,
  };
}
