// Whether a snapshot carries on what the ones before it held. A Mastodon that was set up anew under the same name, after a
// disaster for instance, makes a good first backup of next to nothing: on that day of all days `latest` must not mean it.

import { plural } from '../text/table.ts';
import { snapshotName, type Manifest } from './manifest.ts';

const dayMs = 86_400_000;
/** An instance that has been small for so long is what it is now. */
const settledAfterMs = 30 * dayMs;
/** What was larger so long ago is not worth a word. */
const rememberedMs = 400 * dayMs;
/** Less than this share of the rows is next to nothing. */
const smallShare = 0.1;
/** On another server too much is missing earlier: an upgrade or a move loses no rows. */
const smallShareElsewhere = 0.5;
/** Where this share of the people is still there, somebody has tidied up the posts of others. */
const peopleShare = 0.5;
/** One person may be whoever has set it up anew. */
const fewestPeople = 2;
/** What has fewer rows is itself next to nothing. */
const fewestRows = 10;

type Compared = Pick<Manifest, 'id' | 'tier' | 'dataAt' | 'database'>;

/**
 * Why a snapshot is not silently the latest: it holds next to nothing of what one held that is at most 30 days older. Null:
 * it carries on. `older` are those of its instance, newest first.
 */
export function objectToEmptied(snapshot: Compared, { older }: { readonly older: readonly Compared[] }): string | null {
  const former = findRicher(snapshot, { older, withinMs: settledAfterMs });
  if (former === undefined) return null;
  const server = isElsewhere(snapshot, former) ? ', from another database server' : '';
  return `it has ${plural(countRows(snapshot), 'row')}${server}, and ${snapshotName(former)} of ${former.dataAt.toISOString()} has ${countRows(former)}: a Mastodon set up anew looks like that. Name it by its id if it is meant`;
}

/** What is worth saying of a snapshot that was chosen as the latest all the same; null: nothing. */
export function remarkOnSuccessor(
  snapshot: Compared,
  { older }: { readonly older: readonly Compared[] },
): string | null {
  const former = findRicher(snapshot, { older, withinMs: rememberedMs });
  if (former !== undefined) {
    return `it has ${plural(countRows(snapshot), 'row')}, ${snapshotName(former)} of ${former.dataAt.toISOString()} has ${countRows(former)}`;
  }
  const [before] = older.filter(({ dataAt }) => dataAt < snapshot.dataAt);
  if (before === undefined || !isElsewhere(snapshot, before)) return null;
  return `it comes from another database server than ${snapshotName(before)} of ${before.dataAt.toISOString()}, with about as many rows`;
}

function findRicher(
  snapshot: Compared,
  { older, withinMs }: { readonly older: readonly Compared[]; readonly withinMs: number },
): Compared | undefined {
  return older.find((former) => {
    const ageMs = snapshot.dataAt.getTime() - former.dataAt.getTime();
    return ageMs > 0 && ageMs <= withinMs && isNextToNothing(snapshot, former);
  });
}

function isNextToNothing(snapshot: Compared, former: Compared): boolean {
  const before = countRows(former);
  const share = isElsewhere(snapshot, former) ? smallShareElsewhere : smallShare;
  if (before < fewestRows || countRows(snapshot) >= share * before) return false;
  const people = countRows(former, /\.users$/);
  return people < fewestPeople || countRows(snapshot, /\.users$/) < peopleShare * people;
}

function isElsewhere(one: Compared, other: Compared): boolean {
  const [own, others] = [one.database.systemIdentifier, other.database.systemIdentifier];
  return own !== null && others !== null && own !== others;
}

/** Large objects are no table, and what Rails notes of itself is there in the emptiest database. */
const bookkeeping = /^BLOBS$|\.(?:schema_migrations|ar_internal_metadata)$/;

function countRows({ database }: Compared, tables = /./): number {
  return Object.entries(database.rows).reduce(
    (sum, [table, rows]) => (tables.test(table) && !bookkeeping.test(table) ? sum + rows : sum),
    0,
  );
}
