// The administrator's own files, and this program's settings with them, encrypted for one run. In the clear they would be for
// everybody who reads the store: without recipients they stay here.

import type { OneRunKey } from '../codec/age.ts';
import type { BackupOptions } from './backup.ts';
import { enclose, type Enclosure } from './enclosure.ts';
import { packExtraFiles } from './extra-files.ts';
import { ownSettingsMember } from './own-settings.ts';

/** Packs and encrypts them; null: there are none, or nobody to encrypt them to. Rejects only with the reason of `signal`. */
export async function encloseExtra(
  {
    extraFiles,
    recipients,
    environment,
    now,
    signal,
  }: Pick<BackupOptions, 'extraFiles' | 'recipients' | 'environment' | 'now' | 'signal'>,
  oneRunKey: OneRunKey | null,
): Promise<{ readonly enclosure: Enclosure | null; readonly leftOut: readonly string[] }> {
  if (oneRunKey === null || extraFiles.length === 0) return { enclosure: null, leftOut: [] };
  const { names, tar, leftOut } = await packExtraFiles(extraFiles, signal);
  if (names.length === 0) return { enclosure: null, leftOut };
  const all = Buffer.concat([ownSettingsMember(environment, { now: now() }), tar]);
  return { enclosure: await enclose(all, { kind: 'extra', recipients, oneRunKey }), leftOut };
}
