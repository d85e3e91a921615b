// Functions and procedures that only a superuser may create. One of them would end a restore that runs, as all do, in a login
// without such rights.

import type { ArchiveItem } from '../database/archive-contents.ts';

const routines: ReadonlySet<string> = new Set(['FUNCTION', 'PROCEDURE', 'AGGREGATE']);

// Untrusted languages run with the rights of the server's own account.
const untrustedRoutine = /^\s+LANGUAGE "?(?:c|internal|\w+u)"?(?=\s)|^\s+LANGUAGE .*\bLEAKPROOF\b/m;

/** Whether an entry is such a routine. `ordinarySettings`: what every role may set, in lower case; null: not known. */
export function isRoutineOfSuperuser(
  { kind, definition }: Pick<ArchiveItem, 'kind' | 'definition'>,
  { ordinarySettings }: { readonly ordinarySettings: ReadonlySet<string> | null },
): boolean {
  return routines.has(kind) && (untrustedRoutine.test(definition) || setsForbidden(definition, ordinarySettings));
}

// `SET session_replication_role` in the head of a routine, which PostgreSQL lets nobody else write there.
function setsForbidden(definition: string, ordinarySettings: ReadonlySet<string> | null): boolean {
  if (ordinarySettings === null) return false;
  const [head = ''] = definition.split(/\n {4}(?:AS |BEGIN ATOMIC)/, 1);
  const names = [...head.matchAll(/^ {4}SET "?(\w+)"? TO /gm)].map(([, name = '']) => name.toLowerCase());
  return names.some((name) => !ordinarySettings.has(name));
}
