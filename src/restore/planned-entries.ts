// The entries of a plan against what is really there: the database that they go into, and the archive that they come out of.

import type { ArchiveItem } from '../database/archive-contents.ts';
import { connect, type ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';
import type { RestorePlan } from './restore-plan.ts';

/** The entries without what the database has already: `public` is in every new one, and an extension's schema was made for it. */
export async function withoutWhatIsThere(
  entries: readonly ArchiveItem[],
  { connection, signal }: { readonly connection: ConnectionSettings; readonly signal: AbortSignal },
): Promise<readonly ArchiveItem[]> {
  await using control = await connect(connection, signal);
  const { rows } = await control.query<{ name: string; ours: boolean }>(
    "select nspname as name, pg_has_role(current_user, nspowner, 'usage') as ours from pg_namespace",
  );
  const there = new Map(rows.map(({ name, ours }) => [name, ours]));
  return entries.filter(
    ({ kind, name }) =>
      !(kind === 'SCHEMA' && there.has(name)) &&
      // Only whoever owns it may say what it is for.
      !(kind === 'COMMENT' && name.startsWith('SCHEMA ') && there.get(name.slice('SCHEMA '.length)) === false),
  );
}

/**
 * Holds what came out of the archive against the plan, which was made of its beginning before its hash was known. Nothing came
 * where pg_restore gave up. @throws AppError `restore`.
 */
export function assertAsPlanned(
  contents: readonly ArchiveItem[],
  { plan, snapshot }: { readonly plan: RestorePlan; readonly snapshot: string },
): void {
  if (contents.length === 0 || JSON.stringify(contents) === JSON.stringify(plan.contents)) return;
  throw new AppError('restore', `The dump of ${snapshot} changed while it was restored`, {
    hint: 'Restore it again, and look who writes to the store.',
  });
}
