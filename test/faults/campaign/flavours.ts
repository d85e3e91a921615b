// The kinds of backup that faults are tried on, each in a folder of its own with snapshots of the last days: compressed ones,
// encrypted ones with Mastodon's secrets beside them, and one that is large enough for an upload in parts.

import { createEnvironment } from '../../../src/config/environment.ts';
import { fingerprintSecrets } from '../../../src/mastodon/secret-fingerprints.ts';
import { createSnapshotId } from '../../../src/snapshots/object-keys.ts';
import type { PlaceName } from './places.ts';

/** The kinds. */
export const flavourNames = ['plain', 'age', 'large'] as const;

/** One of them. */
export type FlavourName = (typeof flavourNames)[number];

/** A kind of backup on the stage. */
export interface Flavour {
  readonly name: FlavourName;
  readonly settings: Readonly<Record<string, string>>;
  /** What both places hold before each fault. */
  readonly baseline: ReadonlyMap<string, Buffer>;
  /** The snapshots of it, as `<tier>/<id>`, that retention removes. */
  readonly expired: readonly string[];
  readonly newest: string;
  /** By place, what tells that an object is still the one that was put there. */
  readonly versions: Record<PlaceName, ReadonlyMap<string, string>>;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Ages of the dailies in milliseconds; those beyond seven days before the newest are to go. */
const dailyAgesMs = [hourMs / 2, dayMs, 2 * dayMs, 3 * dayMs, 5 * dayMs, 8 * dayMs, 9 * dayMs];
const expiredAfterMs = 7.5 * dayMs;

/** A snapshot as files by their names, its manifest among them. */
export interface SnapshotFiles {
  readonly id: string;
  readonly files: ReadonlyMap<string, Buffer>;
}

/** Makes the baseline of a flavour out of one snapshot that was just taken. */
export function ageSnapshot(
  { id, files }: SnapshotFiles,
  {
    settings,
    now,
    few,
  }: { readonly settings: Readonly<Record<string, string>>; readonly now: Date; readonly few: boolean },
): Pick<Flavour, 'baseline' | 'expired' | 'newest'> {
  const baseline = new Map<string, Buffer>();
  const expired: string[] = [];
  let newest = '';
  const place = (tier: string, ageMs: number): void => {
    const dataAt = new Date(now.getTime() - ageMs);
    const fresh = createSnapshotId(dataAt);
    if (newest === '') newest = `${tier}/${fresh}`;
    if (tier === 'daily' && ageMs > expiredAfterMs) expired.push(`${tier}/${fresh}`);
    for (const [name, content] of files) {
      const renamed = `${tier}/${name.replace(id, fresh)}`;
      if (!name.endsWith('.json')) {
        baseline.set(renamed, content);
        continue;
      }
      const manifest = JSON.parse(content.toString('utf8').replaceAll(id, fresh)) as Record<string, unknown>;
      const at = dataAt.toISOString();
      const secrets =
        manifest['secrets'] === null
          ? null
          : {
              fingerprints: fingerprintSecrets(createEnvironment(settings, { uid: 0 }), { snapshotId: fresh }),
            };
      const verified = { ...(manifest['verified'] as object), at };
      const document = { ...manifest, tier, dataAt: at, committedAt: at, secrets, verified };
      baseline.set(renamed, Buffer.from(`${JSON.stringify(document, null, 2)}\n`));
    }
  };
  for (const ageMs of few ? dailyAgesMs.slice(0, 1) : dailyAgesMs) place('daily', ageMs);
  // The week's own is due.
  if (!few) place('weekly', 9 * dayMs);
  return { baseline, expired, newest };
}
