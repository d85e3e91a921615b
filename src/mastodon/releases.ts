// Which release of Mastodon a schema belongs to. A restored database needs the program it was made by: an older one does not
// know the tables, a newer one wants to migrate them first.

/** The last migration of each release, oldest first. */
const releases: readonly (readonly [version: string, release: string])[] = [
  ['20241007071624', '4.3'],
  ['20250627132728', '4.4'],
  ['20251023210145', '4.5'],
  ['20260611150940', '4.6'],
];

/** Whether a schema is that of the release, and of nothing later that has not been released yet or is a fork's. */
export function isSchemaOf(release: string, schemaVersion: string): boolean {
  return releases.some(([version, name]) => name === release && version === schemaVersion);
}

/** Rails notes every migration; a table with fewer notes is no complete one. */
const completeFrom = 20;

/**
 * The newest known release whose migrations are all among `versions`; null when none is. A fork has migrations of its own,
 * some with newer dates than the release it is made of: where all are noted, only the release's own last one tells.
 */
export function releaseOf(versions: readonly string[]): string | null {
  const there = new Set(versions);
  const exact = releases.findLast(([version]) => there.has(version));
  if (exact !== undefined || versions.length >= completeFrom) return exact?.[1] ?? null;
  const newest = versions.toSorted().at(-1) ?? '';
  return releases.findLast(([version]) => version <= newest)?.[1] ?? null;
}
