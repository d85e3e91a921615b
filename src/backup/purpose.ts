// Why a run is made: by a person, with a label or without, or by the clock. One type each, so that a label in a scheduled tier, a
// slot that a run by hand answers, or a nameless snapshot under labelled/ cannot be written down: retention and what is due go by them.

import type { Folder, Tier } from '../schedule/tier.ts';

/** A run that a person asks for; with a label it is out of ordinary retention. */
export type HandPurpose =
  { readonly kind: 'by hand'; readonly tier: Tier } | { readonly kind: 'labelled'; readonly label: string };

/** A run by the clock: for a scheduled instant, or the first ever, which waits for none. */
export type ClockPurpose =
  | { readonly kind: 'scheduled'; readonly tier: Tier; readonly slot: Date }
  | { readonly kind: 'first'; readonly tier: Tier };

/** Why a run is made. */
export type Purpose = HandPurpose | ClockPurpose;

/** The folder that its snapshot goes into. */
export function folderOf(purpose: Purpose): Folder {
  return purpose.kind === 'labelled' ? 'labelled' : purpose.tier;
}

/** What its manifest says of it. */
export function describePurpose(purpose: Purpose): {
  readonly tier: Folder;
  readonly label: string | null;
  readonly slot: Date | null;
} {
  return {
    tier: folderOf(purpose),
    label: purpose.kind === 'labelled' ? purpose.label : null,
    slot: purpose.kind === 'scheduled' ? purpose.slot : null,
  };
}

/** How the run is called where it holds the lock, and where it was cut off. */
export function commandOf(purpose: Purpose): string {
  switch (purpose.kind) {
    case 'by hand':
      return `run ${purpose.tier}`;
    case 'labelled':
      return 'run --label';
    case 'scheduled':
    case 'first':
      return `scheduled ${purpose.tier}`;
    default:
      return purpose satisfies never;
  }
}
