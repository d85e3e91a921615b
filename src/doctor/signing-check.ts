// Whose backups count: without a key anybody's do who may write the store, and with one some of what is there may not count yet.

import { assertSigning, wantsSigned } from '../snapshots/origin.ts';
import type { AskedBackups } from '../snapshots/earlier-backups.ts';
import { describeObjection } from '../snapshots/origin.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import { problem, type Examination, type Finding } from './finding.ts';

const check = 'signatures';
/** Somebody who may write the store can put any number of them there. */
const mostNamed = 10;

/** All findings about signatures. */
export function examineSigning(
  { settings: { signing } }: Pick<Examination, 'settings'>,
  asked: readonly AskedBackups[],
): readonly Finding[] {
  if (!wantsSigned(signing)) {
    return [
      {
        check,
        status: 'warning',
        detail: 'backups are not signed: whatever somebody puts into the store who may write it can pass for one',
        remedy:
          'Make a key with: mastodon-backup keygen, name its file in BACKUP_SIGNING_KEY_FILE, and sign what is there with: mastodon-backup adopt --all.',
      },
    ];
  }
  return [examineKeys(signing), ...asked.flatMap(examineStore)];
}

function examineKeys(signing: Examination['settings']['signing']): Finding {
  try {
    assertSigning(signing);
  } catch (error) {
    return problem(check, error);
  }
  const own = signing.key?.publicKey.fingerprint ?? '';
  const others = signing.trusted.length - 1;
  const detail = `signed by ${own}${others === 0 ? '' : `; ${others} other keys are trusted`}`;
  return { check, status: 'ok', detail, remedy: null };
}

function examineStore({ repository, unsigned }: AskedBackups): readonly Finding[] {
  const named = unsigned
    .slice(0, mostNamed)
    .map(({ manifest, objection }) => `${snapshotName(manifest)} ${describeObjection(objection)}`);
  const others = unsigned.length - named.length;
  if (named.length === 0) return [];
  return [
    {
      check,
      status: 'warning',
      detail: `in ${repository.store.description} count for nothing: ${named.join(', ')}${others === 0 ? '' : `, and ${others} others`}`,
      remedy:
        'Sign those that you know to be yours with: mastodon-backup adopt. If you do not know them, somebody else may write there: change the key of the store.',
    },
  ];
}
