// What people were told already. A revoked key fails alike every hour until somebody mends it; told every hour it is muted, and
// with it the next thing that goes wrong.

import { AppError, retryOf } from '../errors.ts';

/** A failure that lasts is told again after so long. */
const repeatAfterMs = 24 * 60 * 60_000;

/** Which failures people know of; as long as this process lives. */
export interface ToldFailures {
  /** Whether this was told within a day: only what a person has to mend counts, and it is noted as told otherwise. */
  isKnown(error: unknown): boolean;
  /** Forgets all of them: it works again. */
  forget(): void;
}

/** Nothing is known yet. */
export function createToldFailures(now: () => Date): ToldFailures {
  const toldAt = new Map<string, number>();
  return {
    isKnown(error) {
      if (!(error instanceof AppError) || error.reason === undefined || retryOf(error) === 'soon') return false;
      const kind = `${error.code} ${error.reason}`;
      const at = now().getTime();
      const before = toldAt.get(kind);
      if (before !== undefined && at - before < repeatAfterMs) return true;
      toldAt.set(kind, at);
      return false;
    },
    forget: () => toldAt.clear(),
  };
}
