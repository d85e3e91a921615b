// What has changed since a snapshot, by the rows of every table: the question before and after a restore, answered without
// one, from the snapshot's manifest and one count of each table of the live database.

import { compareRows, type RowComparison } from '../checks/row-comparison.ts';
import { connect, describeTarget } from '../database/connection.ts';
import { countLiveRows } from '../database/row-counts.ts';
import type { UncountedTable } from '../database/uncounted-table.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { choose, type SnapshotRequest } from './choosing.ts';
import type { AppContext } from './context.ts';

/** Options of `compare`. */
export interface CompareRequest extends Omit<SnapshotRequest, 'identities'> {
  /** How long the counting may take. */
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** What `compare` found. */
export interface CompareResult extends RowComparison {
  readonly manifest: Manifest;
  /** The database that was counted, without its password. */
  readonly database: string;
  readonly countedAt: Date;
  readonly uncounted: readonly UncountedTable[];
}

/** Counts the live database and compares. @throws AppError `no-snapshot`, `store` or `database`. */
export async function compare(context: AppContext, request: CompareRequest): Promise<CompareResult> {
  const { target } = context.load();
  const { manifest } = await choose(context, { ...request, identities: [] });
  const before = manifest.database.rows;
  await using client = await connect(target, request.signal, { queryTimeoutMs: 0 });
  const { countedAt, rows, uncounted } = await countLiveRows(client, {
    ...request,
    expected: new Set(Object.keys(before)),
    onCounted: () => undefined,
  });
  const compared = compareRows({ before, now: rows, uncounted: new Set(uncounted.map(({ table }) => table)) });
  return { ...compared, manifest, database: describeTarget(target), countedAt, uncounted };
}
