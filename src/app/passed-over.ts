// Whoever asks for the latest snapshot gets the latest that is whole, and is told of newer ones that are not.

import type { Log } from '../log.ts';
import type { Catalogue } from '../snapshots/catalogue.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { parseKey } from '../snapshots/object-keys.ts';

/** Says in the log which snapshots newer than `manifest` are damaged or cannot be read. */
export function warnOfPassedOver(
  catalogue: Catalogue,
  { manifest, prefix, log }: { readonly manifest: Manifest; readonly prefix: string; readonly log: Log },
): void {
  for (const { manifest: damaged, reason } of catalogue.damaged) {
    if (damaged.instance !== manifest.instance || damaged.dataAt <= manifest.dataAt) continue;
    const snapshot = snapshotName(damaged);
    log.warn({ snapshot, reason }, 'A newer snapshot is damaged and was passed over');
  }
  for (const { key, reason } of catalogue.unreadable) {
    const parsed = parseKey(key, { prefix });
    if (parsed !== undefined && parsed.id > manifest.id)
      log.warn({ key, reason }, 'A newer manifest cannot be read, and its snapshot was passed over');
  }
}
