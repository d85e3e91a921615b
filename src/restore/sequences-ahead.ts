// Ids that were given out after the snapshot come again in a restored database. Other servers know follows, likes, votes and
// blocks by them: a new follow with an old one's id is taken for that, and undone with it. So sequences may be moved ahead.

import type { Client } from 'pg';
import { note, type CheckResult } from '../checks/check.ts';
import { plural } from '../text/table.ts';

/** The furthest that they may be moved: half of what an `integer` holds. */
export const furthestAhead = 1_000_000_000;

/**
 * Moves every sequence that was ever used ahead by `count`; what has no room for that much, goes round, or descends is left
 * where it stands, and counted. Rejects as the client does.
 */
export async function moveSequencesAhead(client: Client, count: number): Promise<CheckResult> {
  const { rows } = await client.query<{ moved: boolean }>(
    `select case when increment_by > 0 and not cycle and last_value <= max_value - $1::bigint
                 then setval(format('%I.%I', schemaname, sequencename)::regclass, last_value + $1::bigint) is not null
                 else false end as moved
       from pg_sequences where last_value is not null`,
    [count],
  );
  const moved = rows.filter((row) => row.moved).length;
  const left = rows.length - moved;
  const rest = left === 0 ? '' : `; ${plural(left, 'other')} stayed where the dump has them, for lack of room`;
  return note('sequences', `${plural(moved, 'sequence')} moved ahead by ${count}, so that no id comes again${rest}`);
}
