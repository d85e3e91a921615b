// The memory of the last year, bounded: every snapshot that was ever seen, gone or not, thinned out so that the file stays small
// whatever the plan is. Without it a page could show only what retention has left.

import type { DrillReport, DrillsRecord, HistoryRecord, PastFailure, SnapshotRecord } from './records.ts';

/** Of each tier so many stay as they are; of those before them the newest of each day. */
const wholeRuns = 200;
/** Of each tier: more than a year of daily ones. */
const longestTier = 400 + wholeRuns;
const longestFailures = 200;
/** So many drills are remembered: more than a year of weekly ones. */
export const longestDrills = 60;

/** `history` with these snapshots in it; the same object when nothing of it is new. */
export function withRuns(
  history: HistoryRecord | null,
  { snapshots, now }: { readonly snapshots: readonly SnapshotRecord[]; readonly now: Date },
): HistoryRecord {
  const before = history ?? { since: now.toISOString(), runs: [], failures: [] };
  const runs = mergeRuns(before.runs, snapshots);
  return history !== null && runs === before.runs ? history : { ...before, runs };
}

/** All of both, newest first and bounded; `before` itself when nothing is new to it. */
export function mergeRuns(
  before: readonly SnapshotRecord[],
  snapshots: readonly SnapshotRecord[],
): readonly SnapshotRecord[] {
  const known = new Map(before.map((run) => [nameOf(run), run] as const));
  let isNew = false;
  for (const snapshot of snapshots) {
    const name = nameOf(snapshot);
    const same = known.get(name);
    // An older version left something out.
    if (same !== undefined && ('databaseBytes' in same || !('databaseBytes' in snapshot))) continue;
    isNew = true;
    known.set(name, snapshot);
  }
  if (!isNew) return before;
  const byTier = Map.groupBy(known.values(), ({ tier }) => tier);
  const runs = [...byTier.values()].flatMap((tier) => thin(tier.toSorted(newestFirst))).toSorted(newestFirst);
  // What is thinned out again at once is nothing new.
  return runs.length === before.length && runs.every((run, index) => run === before[index]) ? before : runs;
}

/** `history` with a failure more. */
export function withFailure(
  history: HistoryRecord | null,
  { failure, now }: { readonly failure: PastFailure; readonly now: Date },
): HistoryRecord {
  const before = history ?? { since: now.toISOString(), runs: [], failures: [] };
  return { ...before, failures: [failure, ...before.failures].slice(0, longestFailures) };
}

/** The drills with these among them, newest first and bounded. */
export function withDrills(before: DrillsRecord | null, reports: readonly DrillReport[]): DrillsRecord {
  const known = new Map([...(before?.reports ?? []), ...reports].map((report) => [report.id, report] as const));
  const newest = [...known.values()].toSorted((a, b) => (a.endedAt < b.endedAt ? 1 : -1));
  return { reports: newest.slice(0, longestDrills), isWhole: before?.isWhole ?? false };
}

function thin(newest: readonly SnapshotRecord[]): readonly SnapshotRecord[] {
  const days = new Set<string>();
  const thinned = newest.filter(({ dataAt }, index) => {
    if (index < wholeRuns) return true;
    const day = dataAt.toISOString().slice(0, 10);
    const first = !days.has(day);
    days.add(day);
    return first;
  });
  return thinned.slice(0, longestTier);
}

function nameOf({ tier, id }: SnapshotRecord): string {
  return `${tier}/${id}`;
}

function newestFirst(a: SnapshotRecord, b: SnapshotRecord): number {
  return b.dataAt.getTime() - a.dataAt.getTime() || b.committedAt.getTime() - a.committedAt.getTime();
}
