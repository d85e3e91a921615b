// Statements of an archive that failed in a drill's server: some speak against the snapshot, others only of what this server lacks
// or does not allow. Taken for one another, a good backup would be called broken, or a broken one good.

import { note, type CheckResult } from '../checks/check.ts';
import type { RestoreFailure } from '../database/restore-client.ts';
import { plural } from '../text/table.ts';

/** Policies and user mappings name roles, which belong to a server and not to a dump. */
const unknownRole = /^role (".*") does not exist/;
/** What a server lacks that is not the source's: a collation of its C library, a library to load at its start. */
const unknownHere =
  /^(?:collation "[^"]*" for encoding "[^"]*" does not exist|could not create locale "[^"]*"|could not open collator for locale "[^"]*"|could not access file "[^"]*"|could not load library "[^"]*"|could not open (?:stop-word|dictionary|affix) file "[^"]*"|user mapping not found for |could not connect to server "[^"]*"|[\w"]+ must be loaded via "?shared_preload_libraries"?)/;
/** What an ordinary role may not do: it runs in the source only because a superuser does it there. */
const withoutRights = /^(?:must be |must have |permission denied|only superusers? |only roles with )/i;

/** The failures of an archive, by what they speak of. */
export interface SortedFailures {
  /** They name roles, which belong to a server and not to a dump. */
  readonly ofRoles: readonly RestoreFailure[];
  /** They need what is not here. */
  readonly ofServer: readonly RestoreFailure[];
  /** They need a superuser. */
  readonly ofRights: readonly RestoreFailure[];
  /** Those that speak against the snapshot. */
  readonly ofSnapshot: readonly RestoreFailure[];
}

/** Sorts them. */
export function sortFailures(failures: readonly RestoreFailure[]): SortedFailures {
  const such = (pattern: RegExp): readonly RestoreFailure[] => failures.filter(({ message }) => pattern.test(message));
  const [ofRoles, ofServer, ofRights] = [such(unknownRole), such(unknownHere), such(withoutRights)];
  const explained = new Set([...ofRoles, ...ofServer, ...ofRights]);
  return { ofRoles, ofServer, ofRights, ofSnapshot: failures.filter((failure) => !explained.has(failure)) };
}

/** What the server lacks, and what it does not allow; each a note. */
export function describeLacks({
  ofServer,
  ofRights,
}: Pick<SortedFailures, 'ofServer' | 'ofRights'>): readonly CheckResult[] {
  const lacks = [...new Set(ofServer.map(({ message }) => unknownHere.exec(message)?.[0]))].join('; ');
  const wants = [...new Set(ofRights.map(({ message }) => message.split(' (')[0]))].slice(0, 5).join('; ');
  return [
    ...(lacks === ''
      ? []
      : [
          note('server', `this server lacks what the source has: ${lacks}`, {
            remedy: 'Drill where it is installed, or see with restore whether the target has it.',
          }),
        ]),
    ...(wants === ''
      ? []
      : [
          note(
            'rights',
            `${plural(ofRights.length, 'statement wants', 'statements want')} more rights than a dump is given here: ${wants}`,
            {
              remedy:
                'Look who made that in the source: code of a dump that asks for the rights of a superuser is worth a look.',
            },
          ),
        ]),
  ];
}

/** The roles that the server lacks. */
export function describeRoles({ ofRoles }: Pick<SortedFailures, 'ofRoles'>): readonly CheckResult[] {
  const roles = [...new Set(ofRoles.map(({ message }) => unknownRole.exec(message)?.[1]))].join(', ');
  return roles === ''
    ? []
    : [
        note(
          'roles',
          `${plural(ofRoles.length, 'statement names', 'statements name')} roles that this server lacks: ${roles}`,
        ),
      ];
}
