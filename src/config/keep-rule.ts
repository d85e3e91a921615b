// How long a tier's snapshots stay, as a setting has it; what it means is the deletion law's business.

import { ValueError } from './problem.ts';

/** What a tier keeps: everything, the last `n` periods that have a snapshot, or an age before its newest snapshot. */
export type KeepRule =
  | { readonly kind: 'all' }
  | { readonly kind: 'count'; readonly n: number }
  | { readonly kind: 'age'; readonly amount: number; readonly unit: 'd' | 'w' | 'mo' | 'y' };

/** `7d 6w 6mo 2y`, a number of periods, or `all`. Throws `ValueError`: keeping nothing is not a retention. */
export function parseKeepRule(text: string): KeepRule {
  if (text === 'all') return { kind: 'all' };
  const match = /^([1-9]\d{0,3})(d|w|mo|y)?$/.exec(text);
  if (match === null) {
    throw new ValueError('not a retention', {
      remedy: "Write an age such as '7d', '6w', '6mo' or '2y', a number of periods from 1 to 9999, or 'all'",
    });
  }
  const amount = Number(match[1]);
  const unit = match[2] as 'd' | 'w' | 'mo' | 'y' | undefined;
  return unit === undefined ? { kind: 'count', n: amount } : { kind: 'age', amount, unit };
}
