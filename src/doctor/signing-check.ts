// Whose backups count: without a key anybody's do who may write the store, and with one some of what is there may not count yet.

import { assertSigning, wantsSigned } from '../snapshots/origin.ts';
import type { AskedBackups, EarlierBackups } from '../snapshots/earlier-backups.ts';
import { describeObjection } from '../snapshots/origin.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import { plural } from '../text/table.ts';
import { problem, type Examination, type Finding, type Inventory } from './finding.ts';

const check = 'signatures';
/** Somebody who may write the store can put any number of them there. */
const mostNamed = 10;

/** All findings about signatures. */
export function examineSigning(
  { settings: { signing } }: Pick<Examination, 'settings'>,
  { asked, signed }: Pick<Inventory, 'signed'> & { readonly asked: readonly AskedBackups[] },
): readonly Finding[] {
  if (!wantsSigned(signing) && signed.length > 0) return signed.flatMap(keyLost);
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

// A line of the settings that was lost makes every stranger's backup count, and no run would say so.
function keyLost({ repository, snapshots }: EarlierBackups): readonly Finding[] {
  return snapshots.slice(0, 1).map((newest) => ({
    check,
    status: 'problem',
    detail: `BACKUP_SIGNING_KEY is not set, but the newest backup in ${repository.store.description}, ${snapshotName(newest)}, is signed: the next will not be, and signatures are not looked at`,
    remedy:
      'Name the file of the key in BACKUP_SIGNING_KEY_FILE again; if backups shall not be signed from now on, this ends with the next one.',
  }));
}

function examineKeys(signing: Examination['settings']['signing']): Finding {
  try {
    assertSigning(signing);
  } catch (error) {
    return problem(check, error);
  }
  const own = signing.key?.publicKey.fingerprint ?? '';
  const others = signing.trusted.length - 1;
  const detail = `signed by ${own}${others === 0 ? '' : `; trusted besides: ${plural(others, 'other key')}`}`;
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
      detail: `in ${repository.store.description} count for nothing: ${named.join(', ')}${others === 0 ? '' : `, and ${plural(others, 'other')}`}`,
      remedy:
        'Sign those that you know to be yours with: mastodon-backup adopt. If you do not know them, somebody else may write there: change the key of the store.',
    },
  ];
}
