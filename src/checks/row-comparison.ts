// The rows of every table in a snapshot beside those of another moment, what changed most first: in a list by name the table
// that lost everything would stand among three hundred that nobody asks about.

/** A table whose rows are not as many; null: there is no such table. */
export interface ChangedTable {
  readonly table: string;
  readonly before: number | null;
  readonly now: number | null;
  /** Rows that came, less those that went. */
  readonly difference: number;
}

/** What a comparison found. */
export interface RowComparison {
  /** The largest difference first; tables that came or went empty are among them. */
  readonly changed: readonly ChangedTable[];
  /** How many tables have as many rows as before. */
  readonly same: number;
}

/** Compares; a table of `uncounted` is left out. */
export function compareRows({
  before,
  now,
  uncounted,
}: {
  readonly before: Readonly<Record<string, number>>;
  readonly now: ReadonlyMap<string, number>;
  readonly uncounted: ReadonlySet<string>;
}): RowComparison {
  // Large objects are no table.
  const earlier = new Map(Object.entries(before).filter(([table]) => table !== 'BLOBS'));
  const tables = [...new Set([...earlier.keys(), ...now.keys()])].filter((table) => !uncounted.has(table));
  const all = tables.map((table): ChangedTable => {
    const [then, today] = [earlier.get(table) ?? null, now.get(table) ?? null];
    return { table, before: then, now: today, difference: (today ?? 0) - (then ?? 0) };
  });
  const changed = all
    .filter((one) => one.before !== one.now)
    .toSorted(
      (a, b) => Math.abs(b.difference) - Math.abs(a.difference) || (a.table < b.table ? -1 : a.table > b.table ? 1 : 0),
    );
  return { changed, same: all.length - changed.length };
}
