// What of the past can be had: from when on every moment, and where holes are. Whoever learns of a hole only when they need what
// was in it learns too late.

import type { BaseDocument } from '../snapshots/base-document.ts';
import type { Chain } from '../snapshots/chain-catalogue.ts';
import { formatLsn, parseLsn, type Lsn } from './lsn.ts';
import { describeHole, followBase, type Lineage } from './plan.ts';

/** What can be had of a server's past. */
export interface PitrWindow {
  /** From the end of this base every moment can be had, to the newest that is stored; null: none can. */
  readonly first: BaseDocument | null;
  /** Where what is stored ends without a hole; null: nothing can be had. */
  readonly reaches: Lsn | null;
  /** What is missing, a line each. */
  readonly gaps: readonly string[];
}

/** Looks at all bases of a chain. */
export function windowOf(
  chain: Pick<Chain, 'bases' | 'wal'>,
  { lineages }: { readonly lineages: readonly Lineage[] },
): PitrWindow {
  const plans = chain.bases.map((base) => followBase(base, { wal: chain.wal, lineages }));
  const usable = plans.filter(({ base, reaches }) => reaches >= parseLsn(base.endLsn));
  // The newest base leads to the newest moment, and what does not lead there is an island.
  const newest = usable[0]?.base === chain.bases[0] ? usable[0] : undefined;
  const reaches = newest?.reaches ?? null;
  const leading = usable.filter((plan) => newest !== undefined && plan.reaches === reaches && plan.hole === null);
  const gaps = new Set<string>();
  for (const plan of plans) {
    if (plan.hole !== null) gaps.add(describeHole(plan.hole));
    else if (!usable.includes(plan))
      gaps.add(`the log of base ${plan.base.id} ends at ${formatLsn(plan.reaches)}, before the base does`);
    else if (!leading.includes(plan))
      gaps.add(
        `the log behind base ${plan.base.id} ends at ${formatLsn(plan.reaches)}, and does not lead to the newest`,
      );
  }
  return { first: leading.at(-1)?.base ?? null, reaches: leading.length === 0 ? null : reaches, gaps: [...gaps] };
}
