// What a restore would cost now: how long, measured by the last drill and reckoned up to today's size, and how much space. An
// administrator promises it to others while everything is down; a figure without its source would be a guess.

import type { Collection } from './collection.ts';
import type { DrillsView } from './drills.ts';

/** The price of restoring the newest snapshot. */
export interface RestoreCost {
  /** The newest snapshot, `<tier>/<id>`. */
  readonly snapshot: string;
  readonly dataAt: Date;
  /** What is to be fetched. */
  readonly objectBytes: number;
  readonly dumpBytes: number;
  /** What the database takes on disk, as large as it was when it was dumped; null: not known. */
  readonly databaseBytes: number | null;
  /** Expected duration in milliseconds; null: nothing has been measured. */
  readonly durationMs: number | null;
  /** The drill it was measured by; null: none. */
  readonly measuredBy: { readonly id: string; readonly at: string; readonly durationMs: number } | null;
}

/** The price now; null: there is no snapshot. */
export function restoreCost(
  facts: Pick<Collection, 'present' | 'runs'> & Pick<DrillsView, 'reports'> & { readonly now: Date },
): RestoreCost | null {
  const newest = facts.present.find(({ dataAt }) => dataAt <= facts.now);
  if (newest === undefined) return null;
  const measured = facts.reports.find(({ durationMs, status }) => durationMs !== null && status !== 'failed');
  const drilled = facts.runs.find(({ tier, id }) => `${tier}/${id}` === measured?.snapshot);
  const durationMs = measured?.durationMs ?? null;
  const growth = drilled === undefined || drilled.dumpBytes === 0 ? 1 : newest.dumpBytes / drilled.dumpBytes;
  return {
    snapshot: `${newest.tier}/${newest.id}`,
    dataAt: newest.dataAt,
    objectBytes: newest.objectBytes,
    dumpBytes: newest.dumpBytes,
    databaseBytes: newest.databaseBytes ?? null,
    durationMs: durationMs === null ? null : Math.round(durationMs * growth),
    measuredBy:
      measured === undefined || durationMs === null ? null : { id: measured.id, at: measured.endedAt, durationMs },
  };
}
