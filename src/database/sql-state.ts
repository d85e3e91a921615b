// The SQLSTATEs that this program acts on, from PostgreSQL's appendix A. A message is translated and reworded; a state is not.

/** A statement waited for a lock longer than lock_timeout, or would have had to wait and was told not to. */
export const lockNotAvailable = '55P03';
/** A table that is not there, or no longer. */
export const undefinedTable = '42P01';
/** A schema that is not there, or no longer. */
export const undefinedSchema = '3F000';
/** What had this name is something else now. */
export const wrongObjectType = '42809';
/** No room for another lock, among others. */
export const outOfMemory = '53200';

/** A statement was ended, by statement_timeout for instance. */
export const queryCanceled = '57014';

/** The SQLSTATE of what a query threw; undefined for anything else. */
export function sqlStateOf(error: unknown): string | undefined {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : undefined;
}
