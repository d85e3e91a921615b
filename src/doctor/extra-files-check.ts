// Whether the extra files that are to travel with each backup can: what is not mounted here is missed when it is needed.

import { packExtraFiles } from '../backup/extra-files.ts';
import { formatBytes } from '../text/format.ts';
import { plural } from '../text/table.ts';
import { fine, type Examination, type Finding } from './finding.ts';

const check = 'extra files';

/** A finding for each that cannot travel, and one for those that do. */
export async function examineExtraFiles({
  settings,
  signal,
}: Pick<Examination, 'settings' | 'signal'>): Promise<readonly Finding[]> {
  if (settings.extraFiles.length === 0 || settings.keys.kind === 'plain') return [];
  const { names, tar, leftOut } = await packExtraFiles(settings.extraFiles, signal);
  const travel: Finding = fine(
    check,
    `${plural(names.length, 'file')} (${formatBytes(tar.length)}) travel encrypted with each backup`,
  );
  const stay = leftOut.map((detail): Finding => ({
    check,
    status: 'warning',
    detail,
    remedy: 'Mount it where BACKUP_EXTRA_FILES says, or take it out of there.',
  }));
  return names.length === 0 ? stay : [travel, ...stay];
}
