// What is asked of the source before a run dumps it: whether this role may read all of it, and how old a standby's data is.
// A run that cannot end well is refused here in a moment, with everything that is missing, instead of failing in the middle.

import type { Client } from 'pg';
import { findMissingRights, missingRightsError } from '../database/dump-rights.ts';
import type { DatabaseFacts } from '../database/server.ts';
import { describeStandby, listUnloggedTables, readStandby, standbyLagError } from '../database/standby.ts';

/** What is odd about the source, a sentence each. Throws AppError when it cannot be backed up. */
export async function checkSource(control: Client, facts: DatabaseFacts): Promise<readonly string[]> {
  const missing = missingRightsError(await findMissingRights(control), facts);
  if (missing !== undefined) throw missing;
  const warnings: string[] = [];
  if (facts.tableCount === 0) warnings.push(`The database '${facts.name}' has no tables: is it the right one?`);
  const standby = await readStandby(control);
  if (standby === null) return warnings;
  const lag = standbyLagError(standby);
  if (lag !== undefined) throw lag;
  warnings.push(...describeStandby(standby));
  const unlogged = await listUnloggedTables(control);
  if (unlogged.length > 0)
    warnings.push(`A standby has no rows of unlogged tables, so neither has the backup: ${unlogged.join(', ')}`);
  return warnings;
}
