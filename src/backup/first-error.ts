// What went wrong first of a backup that has several destinations, for its exit status; apart from what makes one, so that who only
// asks how it stands need not load that.

import type { AppError } from '../errors.ts';
import type { DestinationOutcome } from '../snapshots/destination.ts';

/** The first destination's failure; undefined when all went well. */
export function firstError({ outcomes }: { readonly outcomes: readonly DestinationOutcome[] }): AppError | undefined {
  return outcomes.find((outcome) => outcome.kind === 'failed')?.error;
}
