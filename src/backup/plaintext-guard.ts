// Losing the recipients by a mistyped line must not put the next dump in the clear beside encrypted ones. What cannot be asked
// is not assumed to be fine: a place that gives no answer for a moment may hold nothing but encrypted backups.

import { AppError, describeError, reasonOf } from '../errors.ts';
import { withoutFuture } from '../schedule/due.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { dumpOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import type { Repository } from '../snapshots/repository.ts';

/** How the last backup that was made here was stored; null: nothing is remembered. */
export type LastEncryption = 'age' | 'none' | null;

/** A place that could not be asked what it holds. */
export interface SilentPlace {
  readonly repository: Repository;
  readonly error: unknown;
}

/** What the guard judges by. */
export interface PlaintextCircumstances {
  readonly recipients: readonly string[];
  readonly allowPlaintext: boolean;
  /** What the destinations hold of this instance; one that could not be asked is left out. */
  readonly earlier: readonly EarlierBackups[];
  /** Those that could not be asked. */
  readonly silent: readonly SilentPlace[];
  readonly lastEncryption: LastEncryption;
  readonly now: () => Date;
}

const allowed = 'BACKUP_ALLOW_PLAINTEXT=true if backups shall be stored unencrypted from now on';

/** Throws AppError `settings` when a run would store the first unencrypted backup after encrypted ones, unless allowed. */
export function refusePlaintextAfterEncrypted(circumstances: PlaintextCircumstances): void {
  const reason = objectToPlaintextRun(circumstances);
  if (reason === null) return;
  throw new AppError('settings', reason, { hint: plaintextRemedy });
}

/** What to do about it. */
export const plaintextRemedy = `Set BACKUP_AGE_RECIPIENTS again, or ${allowed}.`;

/** Why a run may not store anything in the clear; null: it may, or it encrypts. */
export function objectToPlaintextRun(circumstances: Omit<PlaintextCircumstances, 'silent'>): string | null {
  const { lastEncryption } = circumstances;
  // What was made here is known. Somebody else's encrypted backup, which anybody who may write the store can have put there,
  // must not end all backups of an instance that does not encrypt.
  if (mayStore(circumstances) || lastEncryption === 'none') return null;
  const place = placesWithEncrypted(circumstances)[0];
  if (place !== undefined)
    return `BACKUP_AGE_RECIPIENTS is not set, but the newest backup in ${place.repository.store.description} is encrypted`;
  if (lastEncryption === null) return null;
  return 'BACKUP_AGE_RECIPIENTS is not set, but the last backup that was made here was encrypted';
}

/** What a run in the clear says of encrypted backups that are newer than its own last one, a sentence each. */
export function describeStrangers(circumstances: Omit<PlaintextCircumstances, 'silent'>): readonly string[] {
  if (mayStore(circumstances) || circumstances.lastEncryption !== 'none') return [];
  return placesWithEncrypted(circumstances).flatMap(({ repository, newest }) =>
    newest === undefined
      ? []
      : [
          `The newest backup in ${repository.store.description}, ${snapshotName(newest)}, is encrypted, and backups that are made here are not: if nobody else backs up into it, somebody else may write there`,
        ],
  );
}

interface NewestThere {
  readonly repository: EarlierBackups['repository'];
  readonly newest: Manifest | undefined;
}

// What is dated in the future hides no other: anybody may have put it there.
function newestOfEach({ earlier, now }: Pick<PlaintextCircumstances, 'earlier' | 'now'>): readonly NewestThere[] {
  return earlier.map(({ repository, snapshots }) => ({ repository, newest: withoutFuture(snapshots, now())[0] }));
}

function placesWithEncrypted(circumstances: Pick<PlaintextCircumstances, 'earlier' | 'now'>): readonly NewestThere[] {
  return newestOfEach(circumstances).filter(({ newest }) => isEncrypted(newest));
}

/**
 * The places in which nothing may be stored in the clear, each with the reason: what they hold cannot be asked, nothing is
 * remembered, and no other place shows that this instance's backups are not encrypted.
 */
export function placesWithoutAnswer(circumstances: PlaintextCircumstances): ReadonlyMap<Repository, AppError> {
  const { silent, lastEncryption } = circumstances;
  const isPlain = newestOfEach(circumstances).some(({ newest }) => newest !== undefined && !isEncrypted(newest));
  if (mayStore(circumstances) || lastEncryption === 'none' || isPlain) return new Map();
  return new Map(
    silent.map(({ repository, error }) => {
      const place = repository.store.description;
      const hint =
        error instanceof AppError && error.hint !== undefined ? error.hint : 'Check it with: mastodon-backup doctor.';
      const isGone = ['not-found', 'unreachable', 'overloaded', 'misconfigured'].includes(reasonOf(error) ?? '');
      // Where nothing can be stored at all, there is no guard to be switched off.
      if (isGone) return [repository, new AppError('store', describeError(error), { cause: error, hint })];
      return [
        repository,
        new AppError(
          'store',
          `Nothing is stored unencrypted in ${place}, for whether there are encrypted backups cannot be asked: ${describeError(error)}`,
          { cause: error, hint: `${hint.replace(/\.$/, '')}; or set BACKUP_AGE_RECIPIENTS, or ${allowed}.` },
        ),
      ];
    }),
  );
}

function mayStore({
  recipients,
  allowPlaintext,
}: Pick<PlaintextCircumstances, 'recipients' | 'allowPlaintext'>): boolean {
  return recipients.length > 0 || allowPlaintext;
}

/** Whether there is a snapshot, and it is encrypted. */
export function isEncrypted(manifest: Manifest | undefined): boolean {
  return manifest !== undefined && dumpOf(manifest).encryption !== null;
}
