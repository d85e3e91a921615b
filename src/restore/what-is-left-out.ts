// What a restore did not bring back, by kind: in the report of every restore, since nobody looks for what he does not miss yet.

import { note, ok, type CheckResult } from '../checks/check.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import { plural } from '../text/table.ts';
import { countOfKind } from './kinds.ts';
import { list, type LeaveReason, type RestorePlan } from './restore-plan.ts';
import type { TargetServer } from './target.ts';

const reasons: Readonly<Record<LeaveReason, string>> = {
  server: 'they belong to a server and its roles: grant them anew where they are needed',
  superuser:
    'only a superuser may create them: get the plain dump with restore --output FILE, and restore them by hand',
  schema: 'not asked for with --schema',
  extension: 'they depend on an extension that was left out',
};

/** A note for each kind that stayed away, or that nothing did. */
export function describeLeftOut(
  { leftOut, entries }: RestorePlan,
  { manifest, server }: { readonly manifest: Pick<Manifest, 'database'>; readonly server: TargetServer },
): readonly CheckResult[] {
  const notes = leftOut.map((one) =>
    note('left out', `${countOfKind(one)} (${list(one.names)}): ${reasons[one.reason]}`),
  );
  return [
    ...(notes.length === 0
      ? [
          ok(
            'left out',
            `nothing: ${plural(entries.length, 'entry', 'entries')} of the archive restored, which is all of it`,
          ),
        ]
      : notes),
    note('server', `PostgreSQL ${server.version}, dumped from ${manifest.database.serverVersion}`),
  ];
}
