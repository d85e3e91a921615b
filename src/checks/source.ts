// What was so in the source already: a restored database that has it too is a faithful one. Without this a drill calls a
// good backup broken for ever, and health with it.

import type { Oddity } from '../database/oddities.ts';
import { list, note, type CheckResult } from './check.ts';

/** Answers by what the manifest says of the source. */
export interface Source {
  /** Whether this was so in the source, or is not known to be otherwise. */
  had(kind: string, name: string): boolean;
  /** What was so in the source and cannot be seen in what is restored from it. */
  notes(): readonly CheckResult[];
}

interface Wording {
  readonly check: string;
  readonly what: string;
  readonly remedy: string | null;
}

/** Kinds that do not come with a dump, and what to do about them. */
const wordings: Readonly<Record<string, Wording>> = {
  'invalid-index': {
    check: 'indexes of the source',
    what: 'not valid in the source, and left out of dumps unless they are of partitioned tables',
    remedy:
      'Build them again in the source: REINDEX INDEX CONCURRENTLY; if that finds duplicates, run: tootctl maintenance fix-duplicates.',
  },
  'disabled-trigger': {
    check: 'triggers of the source',
    what: 'disabled in the source',
    remedy: 'If that is not on purpose, switch them on again in the source: ALTER TABLE … ENABLE TRIGGER ALL.',
  },
  'collation-version': {
    check: 'collation of the source',
    what: 'its indexes of texts may be in another order than the server now expects',
    remedy: 'Rebuild them in the source: REINDEX DATABASE, then ALTER DATABASE … REFRESH COLLATION VERSION.',
  },
  'not-asked': {
    check: 'source',
    what: 'could not be asked about when the backup was made',
    remedy: null,
  },
};

/** The source as the manifest's oddities tell it. */
export function createSource(oddities: readonly Oddity[]): Source {
  const names = new Set(oddities.map(({ kind, name }) => JSON.stringify([kind, name])));
  return {
    had: (kind, name) =>
      // A name that is not among the first may be among those that are only counted.
      [
        [kind, name],
        [kind, ''],
        ['not-asked', kind],
      ].some((one) => names.has(JSON.stringify(one))),
    notes: () =>
      Object.entries(wordings).flatMap(([kind, { check, what, remedy }]) => {
        const some = oddities.filter((oddity) => oddity.kind === kind);
        if (some.length === 0) return [];
        const named = list(some.map(({ name, detail }) => `${name} (${detail})`.trim()));
        return [note(check, `${what}: ${named}`, { remedy })];
      }),
  };
}
