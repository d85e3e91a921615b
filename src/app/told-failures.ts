// What people were told already. A revoked key fails alike every hour until somebody mends it; told every hour it is muted, and
// with it the next thing that goes wrong.

import { AppError, retryOf } from '../errors.ts';

/** A failure that lasts is told again after so long. */
const repeatAfterMs = 24 * 60 * 60_000;

/** Which failures people know of; as long as this process lives. */
export interface ToldFailures {
  /** Whether this was told within a day: only what a person has to mend counts. */
  isKnown(error: unknown): boolean;
  /** Notes that people were told of it now. */
  note(error: unknown): void;
  /** Forgets all of them: it works again. */
  forget(): void;
}

/** Nothing is known yet. */
export function createToldFailures(now: () => Date): ToldFailures {
  const toldAt = new Map<string, number>();
  const isRecent = (at: number | undefined): boolean => at !== undefined && now().getTime() - at < repeatAfterMs;
  return {
    isKnown: (error) => isRecent(toldAt.get(kindOf(error) ?? '')),
    note(error) {
      const kind = kindOf(error);
      if (kind !== null && !isRecent(toldAt.get(kind))) toldAt.set(kind, now().getTime());
    },
    forget: () => toldAt.clear(),
  };
}

function kindOf(error: unknown): string | null {
  const mustBeMended = error instanceof AppError && error.reason !== undefined && retryOf(error) !== 'soon';
  return mustBeMended ? `${error.code} ${error.reason}` : null;
}
