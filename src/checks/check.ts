// What a check of a restored database found.

/** One finding; `note` is worth saying and wrong with nothing. */
export interface CheckResult {
  readonly check: string;
  readonly status: 'ok' | 'failed' | 'note';
  /** For people. */
  readonly detail: string;
  /** The detail without values out of the database, where it has some. */
  readonly detailWithoutValues?: string;
  /** What to do; null when there is nothing to do. */
  readonly remedy: string | null;
}

/** The name of what was left without a verdict because asking took too long. */
export const notChecked = 'not checked';

/** A check that went well. */
export function ok(check: string, detail: string): CheckResult {
  return { check, status: 'ok', detail, remedy: null };
}

/** A check that found something wrong. */
export function failed(
  check: string,
  finding: { readonly detail: string; readonly detailWithoutValues?: string; readonly remedy: string },
): CheckResult {
  return { check, status: 'failed', ...finding };
}

/**
 * The result as it is shown: with the values it found, or without them, as it must be where it is kept or sent in the clear
 * while the backup itself is encrypted.
 */
export function shown(result: CheckResult, { withValues }: { readonly withValues: boolean }): CheckResult {
  const { detailWithoutValues, ...rest } = result;
  return { ...rest, detail: withValues ? rest.detail : (detailWithoutValues ?? rest.detail) };
}

/** Something worth saying; it may come with something to do all the same. */
export function note(
  check: string,
  detail: string,
  {
    remedy = null,
    detailWithoutValues,
  }: { readonly remedy?: string | null; readonly detailWithoutValues?: string } = {},
): CheckResult {
  return {
    check,
    status: 'note',
    detail,
    ...(detailWithoutValues === undefined ? {} : { detailWithoutValues }),
    remedy,
  };
}

/** Names that a finding shows; the others are only counted. */
const shownNames = 5;

/** The first few, and how many more there are. */
export function list(items: readonly string[]): string {
  const rest = items.length - shownNames;
  return `${items.slice(0, shownNames).join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}
