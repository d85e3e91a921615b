// Whether backups are encrypted, by the settings and by what the stores hold: the two can differ, and a run after a lost line of
// settings is refused, which should be known before it is due.

import { describeStrangers, isEncrypted, objectToPlaintextRun, plaintextRemedy } from '../backup/plaintext-guard.ts';
import { recipientsOf } from '../config/age-keys.ts';
import type { Settings } from '../config/settings.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { snapshotName } from '../snapshots/manifest.ts';
import { plural } from '../text/table.ts';
import { fine, type Examination, type Finding } from './finding.ts';

const check = 'encryption';
const remedy = 'If it was not you who made them, somebody else may write there: change the key of the store.';

/** All findings about encryption. */
export function examineEncryption(
  { settings, lastEncryption, now }: Pick<Examination, 'settings' | 'lastEncryption' | 'now'>,
  earlier: readonly EarlierBackups[],
): readonly Finding[] {
  const places = earlier.map(({ repository, snapshots }) => ({
    place: repository.store.description,
    encrypted: snapshots.filter(isEncrypted),
    clear: snapshots.filter((one) => !isEncrypted(one)),
  }));
  const held = places.map(
    ({ place, encrypted, clear }) => `; ${place} holds ${encrypted.length} encrypted and ${clear.length} in the clear`,
  );
  const { keys } = settings;
  const found = examineSettings(settings, held.join(''));
  const recipients = recipientsOf(keys);
  if (recipients.length === 0) {
    const circumstances = { recipients, allowPlaintext: keys.allowPlaintext, earlier, lastEncryption, now };
    const reason = objectToPlaintextRun(circumstances);
    if (reason !== null)
      return [{ check, status: 'problem', detail: `${reason}: the next run is refused`, remedy: plaintextRemedy }];
    return [
      found,
      ...describeStrangers(circumstances).map((detail): Finding => ({ check, status: 'warning', detail, remedy })),
    ];
  }
  const strangers = places.flatMap(({ place, encrypted, clear }) =>
    clear
      .filter(({ committedAt }) => encrypted.some((one) => one.committedAt < committedAt))
      .map((one) => `${snapshotName(one)} in ${place}`),
  );
  if (strangers.length === 0) return [found];
  return [
    found,
    {
      check,
      status: 'warning',
      detail: `in the clear, and later than encrypted ones: ${strangers.join(', ')}`,
      remedy,
    },
  ];
}

function examineSettings({ keys }: Settings, held: string): Finding {
  if (keys.kind === 'plain') {
    return {
      check,
      status: 'warning',
      detail: `backups are stored unencrypted: whoever reads the bucket reads all private messages and password hashes${held}`,
      remedy:
        'Make a key with age-keygen, keep it away from this server, and set BACKUP_AGE_RECIPIENTS to its public half.',
    };
  }
  const identity =
    keys.kind === 'identities'
      ? 'a private key is on this machine'
      : 'no private key on this machine, `verify` hashes only';
  return fine(check, `age, ${plural(keys.recipients.length, 'recipient')}; ${identity}${held}`);
}
