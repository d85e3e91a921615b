// What retention did or would do, as a calendar that a person can check, and as JSON.

import type { PlacePrune } from '../app/pruning.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import type { Verdict } from '../retention/policy.ts';
import { formatBytes } from '../text/format.ts';

interface Lines {
  readonly dryRun: boolean;
}

/** The JSON document of `prune --json`. */
export function pruneDocument(results: readonly PlacePrune[], { dryRun }: Lines): object {
  return {
    dryRun,
    destinations: results.map(({ place, plan, removed, error }) => ({
      place,
      error,
      holds: plan?.holds ?? [],
      removed: removed.map(({ tier, id }) => `${tier}/${id}`),
      snapshots: (plan?.verdicts ?? []).map((verdict) => ({
        snapshot: `${verdict.snapshot.tier}/${verdict.snapshot.id}`,
        dataAt: verdict.snapshot.dataAt,
        bytes: verdict.snapshot.object.bytes,
        keep: verdict.keep || plan?.remove.includes(verdict.snapshot) !== true,
        reason: verdict.reason,
      })),
    })),
  };
}

/** The result of `prune` as text. */
export function renderPrune(results: readonly PlacePrune[], options: Lines): string {
  return results.map((result) => renderPlace(result, options)).join('\n');
}

function renderPlace({ place, plan, removed, error }: PlacePrune, { dryRun }: Lines): string {
  const lines = [`${place}:`];
  for (const verdict of plan?.verdicts ?? []) lines.push(renderVerdict(verdict, plan?.remove ?? []));
  if (plan?.verdicts.length === 0) lines.push('  no snapshots');
  for (const hold of plan?.holds ?? [])
    lines.push(`  HELD${hold.tier === null ? '' : ` (${hold.tier})`}: ${hold.reason}. ${hold.remedy}`);
  if (error !== null) lines.push(`  FAILED: ${error}`);
  const bytes = (list: readonly Manifest[]): string =>
    formatBytes(list.reduce((sum, { object }) => sum + object.bytes, 0));
  const planned = plan?.remove ?? [];
  lines.push(
    dryRun
      ? `  ${planned.length} would be removed (${bytes(planned)}); nothing was`
      : `  ${removed.length} removed (${bytes(removed)})`,
  );
  return `${lines.join('\n')}\n`;
}

function renderVerdict({ snapshot, keep, reason }: Verdict<Manifest>, remove: readonly Manifest[]): string {
  const verb = remove.includes(snapshot) ? 'remove' : 'keep';
  const held = !keep && verb === 'keep' ? ', held' : '';
  const day = new Intl.DateTimeFormat('en-GB', { weekday: 'short', timeZone: 'UTC' }).format(new Date(snapshot.dataAt));
  const when = `${day} ${snapshot.dataAt.slice(0, 16).replace('T', ' ')} UTC`;
  return `  ${verb.padEnd(6)} ${snapshot.tier.padEnd(8)} ${when}  ${snapshot.id}  ${formatBytes(snapshot.object.bytes).padStart(9)}  ${reason}${held}`;
}
