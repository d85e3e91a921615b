// The rows that a restored database must have, by what of the archive was restored: those of the user's own tables, and those
// of the tables that extensions keep, where only some belong to the dump.

import type { Client } from 'pg';
import { qualifiedName, type ArchiveItem } from '../database/archive-contents.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { readConfiguration, type ConfigurationTable } from './extensions.ts';

/** Exact rows by `schema.table`. */
export interface ExpectedRows {
  readonly rows: Readonly<Record<string, number>>;
  readonly ofExtensions: Readonly<Record<string, number>>;
  readonly configuration: readonly ConfigurationTable[];
}

/**
 * Asks the database which tables its extensions keep, and divides the manifest's counts. What of `contents` is not among
 * `entries` stayed away on purpose; what the archive does not have at all is missing.
 */
export async function expectedRows(
  client: Client,
  {
    manifest,
    contents,
    entries,
  }: {
    readonly manifest: Pick<Manifest, 'database'>;
    readonly contents: readonly ArchiveItem[];
    readonly entries: readonly ArchiveItem[];
  },
): Promise<ExpectedRows> {
  const configuration = await readConfiguration(client);
  const ofExtensions = new Set(configuration.map(({ schema, table }) => qualifiedName({ schema, name: table })));
  const tablesOf = (items: readonly ArchiveItem[]): ReadonlySet<string> =>
    new Set(items.filter(({ kind }) => kind === 'TABLE DATA').map(qualifiedName));
  const [dumped, restored] = [tablesOf(contents), tablesOf(entries)];
  const rows = Object.entries(manifest.database.rows).filter(([table]) => restored.has(table) || !dumped.has(table));
  const such = (isOfExtension: boolean): Readonly<Record<string, number>> =>
    Object.fromEntries(rows.filter(([table]) => ofExtensions.has(table) === isOfExtension));
  return { rows: such(false), ofExtensions: such(true), configuration };
}
