// How a run ended at all its destinations: in the order of the settings, those in which nothing may be stored among them, and
// one reason where all have failed.

import type { DatabaseFacts } from '../database/server.ts';
import { AppError } from '../errors.ts';
import type { DestinationOutcome } from '../snapshots/destination.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { BackupOptions } from './backup.ts';
import { planDestinations } from './run-plan.ts';

/** In the order in which the settings name them. */
export function inOrder(
  outcomes: readonly DestinationOutcome[],
  { stores }: Pick<BackupOptions, 'stores'>,
): readonly DestinationOutcome[] {
  const place = ({ destination }: DestinationOutcome): number => stores.indexOf(destination.repository);
  return outcomes.toSorted((a, b) => place(a) - place(b));
}

/** The outcomes of those in which nothing may be stored. */
export function failSpared(
  spared: ReadonlyMap<Repository, AppError>,
  { options, ...run }: { readonly options: BackupOptions; readonly id: string; readonly facts: DatabaseFacts },
): readonly DestinationOutcome[] {
  return [...spared].flatMap(([repository, error]) =>
    planDestinations({ ...options, stores: [repository] }, run).map((destination): DestinationOutcome => ({
      kind: 'failed',
      destination,
      error,
    })),
  );
}

/** What a run fails with when every destination has failed before the end. */
export function firstFailure(outcomes: readonly DestinationOutcome[]): AppError {
  const failures = outcomes.flatMap((outcome) => (outcome.kind === 'failed' ? [outcome.error] : []));
  const [first] = failures;
  if (first === undefined)
    return new AppError('unexpected', 'The destinations failed without a reason', {
      hint: 'Look at the log above, and ask the destinations with: mastodon-backup doctor.',
    });
  if (failures.length === 1) return first;
  return new AppError(first.code, failures.map(({ message }) => message).join('; '), {
    cause: first,
    ...(first.hint === undefined ? {} : { hint: first.hint }),
  });
}
