// What all stores hold and what was ever made, put together once for as long as it is the same: of ten thousand snapshots that
// takes longer than all else that is shown, and nothing of it depends on the time of day.

import { mergeRuns } from '../state/history.ts';
import type { HistoryRecord, SnapshotRecord, StoreRecord } from '../state/records.ts';

/** A dump that was made, gone or not. */
export interface RunPoint {
  readonly dataAt: Date;
  readonly dumpBytes: number;
  readonly objectBytes: number;
  /** Null where it is not known: of a copy whose original is gone. */
  readonly durationMs: number | null;
}

/** Snapshots from everywhere. */
export interface Collection {
  /** All that is stored, one of each name, newest first. */
  readonly present: readonly SnapshotRecord[];
  /** The stores that hold it, by their names. */
  readonly places: (snapshot: SnapshotRecord) => readonly string[];
  /** All that was made, newest first; what is stored is among it. */
  readonly runs: readonly SnapshotRecord[];
  /** Dumps, the oldest first. */
  readonly dumps: readonly RunPoint[];
}

/** What was made, as far back as it is remembered. */
export interface Past extends Pick<Collection, 'present' | 'runs'> {
  /** From when on everything is remembered. */
  readonly since: Date;
}

type Stores = readonly Pick<StoreRecord, 'name' | 'snapshots'>[];

/** By the list of the first store: records are replaced whole, so the same list is the same content. */
const collections = new WeakMap<
  readonly SnapshotRecord[],
  { readonly stores: Stores; readonly history: HistoryRecord | null; readonly collection: Collection }
>();

/** Puts together what the stores hold and what is remembered. */
export function collect(stores: Stores, history: HistoryRecord | null): Collection {
  const [first] = stores;
  const before = first === undefined ? undefined : collections.get(first.snapshots);
  if (before !== undefined && before.history === history && isSame(before.stores, stores)) return before.collection;
  const collection = make(stores, history);
  if (first !== undefined) collections.set(first.snapshots, { stores, history, collection });
  return collection;
}

function isSame(before: Stores, stores: Stores): boolean {
  return (
    before.length === stores.length &&
    stores.every(({ name, snapshots }, index) => before[index]?.name === name && before[index].snapshots === snapshots)
  );
}

function make(stores: Stores, history: HistoryRecord | null): Collection {
  const held = new Map<string, { readonly snapshot: SnapshotRecord; readonly places: string[] }>();
  for (const { name, snapshots } of stores)
    for (const snapshot of snapshots) {
      const one = held.get(nameOf(snapshot));
      if (one === undefined) held.set(nameOf(snapshot), { snapshot, places: [name] });
      else one.places.push(name);
    }
  const present = [...held.values()]
    .map(({ snapshot }) => snapshot)
    .toSorted((a, b) => b.dataAt.getTime() - a.dataAt.getTime());
  const runs = mergeRuns(history?.runs ?? [], present);
  return { present, places: (snapshot) => held.get(nameOf(snapshot))?.places ?? [], runs, dumps: dumpsOf(runs) };
}

function nameOf({ tier, id }: SnapshotRecord): string {
  return `${tier}/${id}`;
}

// A copy is no dump of its own; where its original is gone it stands for it.
function dumpsOf(runs: readonly SnapshotRecord[]): readonly RunPoint[] {
  const byMoment = new Map<number, RunPoint>();
  for (const { dataAt, dumpBytes, objectBytes, copiedFrom, committedAt, startedAt } of runs.toReversed()) {
    const durationMs = copiedFrom === null ? Math.max(0, committedAt.getTime() - startedAt.getTime()) : null;
    const known = byMoment.get(dataAt.getTime());
    if (known === undefined || known.durationMs === null)
      byMoment.set(dataAt.getTime(), { dataAt, dumpBytes, objectBytes, durationMs });
  }
  return [...byMoment.values()].toSorted((a, b) => a.dataAt.getTime() - b.dataAt.getTime());
}
