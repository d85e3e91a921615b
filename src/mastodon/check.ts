// What a check of a restored database found.

/** One finding; `note` is worth saying and wrong with nothing. */
export interface CheckResult {
  readonly check: string;
  readonly status: 'ok' | 'failed' | 'note';
  /** For people. */
  readonly detail: string;
  /** What to do; null when there is nothing to do. */
  readonly remedy: string | null;
}

/** A check that went well. */
export function ok(check: string, detail: string): CheckResult {
  return { check, status: 'ok', detail, remedy: null };
}

/** A check that found something wrong. */
export function failed(
  check: string,
  { detail, remedy }: { readonly detail: string; readonly remedy: string },
): CheckResult {
  return { check, status: 'failed', detail, remedy };
}

/** Something worth saying. */
export function note(check: string, detail: string): CheckResult {
  return { check, status: 'note', detail, remedy: null };
}
