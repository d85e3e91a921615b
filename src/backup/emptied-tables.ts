// The second net under a dump: a table that had rows in the last snapshot and has none now is said, whatever emptied it. The
// dump is a good one all the same, and without a word the rows are gone for good with the last snapshot that has them.

import type { Log } from '../log.ts';
import { isPassingTable } from '../mastodon/passing-tables.ts';
import { newestFirst, withoutFuture } from '../schedule/due.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';

/** What a dump lacks that the last snapshot had. */
export interface TableLosses {
  /** Tables that had rows and have none, as the manifest names them; at most `mostRecorded`. */
  readonly emptied: readonly string[];
  /** The same in words for people, one warning at most. */
  readonly warnings: readonly string[];
  /** What the log alone has: it is as it should be more often than not. */
  readonly notes: readonly string[];
}

/** There was nothing to compare, or nothing is lost. */
const noLosses: TableLosses = { emptied: [], warnings: [], notes: [] };

/** How many names a manifest records. */
const mostRecorded = 100;
/** How many are read out to people. */
const mostSaid = 10;

/**
 * Compares the rows of a dump with those of the newest snapshot of its instance that is not from the future. Said once:
 * a table that was empty in that one already is not said again.
 */
export function findTableLosses(
  rows: Readonly<Record<string, number>>,
  options: {
    readonly earlier: readonly Manifest[];
    /** Whether the tables are Mastodon's. */
    readonly isMastodon: boolean;
    readonly now: Date;
  },
): TableLosses {
  const [last] = withoutFuture(options.earlier, options.now).toSorted(newestFirst);
  if (last === undefined) return noLosses;
  const filled = Object.entries(last.database.rows).filter(([, count]) => count > 0);
  const lost = filled.filter(([table]) => rows[table] === 0);
  const isUsual = ([table]: readonly [string, number]): boolean =>
    options.isMastodon && isPassingTable(table.slice(table.indexOf('.') + 1));
  const emptied = lost.filter((one) => !isUsual(one));
  const usual = lost.filter(isUsual);
  // A migration drops and renames tables by right, and nothing here can tell it from somebody who had no right to.
  const dropped = filled.filter(([table]) => rows[table] === undefined);
  const name = snapshotName(last);
  const warning = `${readOut(emptied)} had rows in the last snapshot, ${name} of ${last.dataAt.toISOString()}, and none now: if nobody emptied that on purpose, get the rows from there before retention removes it: mastodon-backup restore ${name} --to-database NAME`;
  return {
    emptied: emptied.slice(0, mostRecorded).map(([table]) => table),
    warnings: emptied.length === 0 ? [] : [warning],
    notes: [
      ...(usual.length === 0 ? [] : [`${readOut(usual)} had rows in ${name} and none now, as Mastodon leaves it`]),
      ...(dropped.length === 0
        ? []
        : [`${readOut(dropped)} had rows in ${name} and is in the dump no more: dropped or renamed`]),
    ],
  };
}

/** Compares them with what the stores hold of the instance, and logs what is found. `rows` is null when no dump came of the run. */
export function reportTableLosses(
  rows: Readonly<Record<string, number>> | null,
  options: {
    readonly earlier: readonly EarlierBackups[];
    /** Null: it is no Mastodon. */
    readonly mastodon: object | null;
    readonly now: () => Date;
    readonly log: Log;
  },
): TableLosses {
  if (rows === null) return noLosses;
  const earlier = options.earlier.flatMap(({ snapshots }) => snapshots);
  const losses = findTableLosses(rows, { earlier, isMastodon: options.mastodon !== null, now: options.now() });
  for (const warning of losses.warnings) options.log.warn({}, warning);
  for (const note of losses.notes) options.log.info({}, note);
  return losses;
}

function readOut(tables: readonly (readonly [string, number])[]): string {
  const said = tables
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, mostSaid)
    .map(([table, count]) => `${table} (${count})`);
  const more = tables.length - said.length;
  return more === 0 ? said.join(', ') : `${said.join(', ')} and ${more} more`;
}
