// What a store holds, for people and as JSON: snapshots first, and apart from them what is not one.

import type { Catalogue } from '../snapshots/catalogue.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { formatBytes, formatTable } from '../text/format.ts';

type Placed = Catalogue & { readonly place: string };

/** The JSON document of `list --json`. */
export function catalogueDocument(catalogue: Placed): object {
  return {
    place: catalogue.place,
    snapshots: catalogue.snapshots,
    withoutSecrets: catalogue.withoutSecrets.map(({ tier, id }) => ({ tier, id })),
    damaged: catalogue.damaged.map(({ manifest, reason }) => ({ tier: manifest.tier, id: manifest.id, reason })),
    unreadable: catalogue.unreadable,
    foreign: catalogue.foreign.map(({ key, bytes, modifiedAt }) => ({
      key,
      bytes,
      modifiedAt: modifiedAt.toISOString(),
    })),
  };
}

/** The result of `list` as text. */
export function renderCatalogue(catalogue: Placed): string {
  const { snapshots, damaged, unreadable, foreign } = catalogue;
  const several = new Set(snapshots.map(({ instance }) => instance)).size > 1;
  const parts = [
    snapshots.length === 0
      ? `No snapshots in ${catalogue.place}\n`
      : formatTable([
          ['SNAPSHOT', 'DATA AT', 'DUMP', 'STORED', 'ROWS', 'VERIFIED', ...(several ? ['INSTANCE'] : []), 'LABEL'],
          ...snapshots.map((snapshot) => renderSnapshot(snapshot, several)),
        ]),
    section(
      "Restorable, but Mastodon's settings beside them are missing",
      catalogue.withoutSecrets.map(({ tier, id }) => [`${tier}/${id}`]),
    ),
    section(
      'Damaged, count for nothing',
      damaged.map(({ manifest, reason }) => [`${manifest.tier}/${manifest.id}`, reason]),
    ),
    section(
      'Unreadable manifests, protected',
      unreadable.map(({ key, reason }) => [key, reason]),
    ),
    section(
      'Foreign, never touched',
      foreign.map(({ key, bytes }) => [key, formatBytes(bytes)]),
    ),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

function renderSnapshot(snapshot: Manifest, withInstance: boolean): readonly string[] {
  const rows = Object.values(snapshot.database.rows).reduce((sum, count) => sum + count, 0);
  return [
    `${snapshot.tier}/${snapshot.id}`,
    snapshot.dataAt.replace(/\.\d+Z$/, 'Z'),
    formatBytes(snapshot.dump.bytes),
    formatBytes(snapshot.object.bytes),
    String(rows),
    snapshot.verified.method,
    ...(withInstance ? [snapshot.instance] : []),
    snapshot.label ?? '',
  ];
}

function section(title: string, rows: readonly (readonly string[])[]): string {
  return rows.length === 0 ? '' : `${title}:\n${formatTable(rows.map((row) => ['', ...row]))}`;
}
