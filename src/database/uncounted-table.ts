// A table whose rows were not counted; apart from what counts, which talks to a database and takes time to load.

/** A table that was not counted, and why. */
export interface UncountedTable {
  readonly table: string;
  readonly reason: string;
}

/** Why the last tables are not counted when the time is over. */
export const outOfTime = 'the time for it was over';
