// The list of archive entries that pg_restore is to restore, in a file of its own: nothing but what was planned comes out of an
// archive, however it was made.

import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ArchiveItem } from '../database/archive-contents.ts';
import { AppError, describeError } from '../errors.ts';
import { createScratchName, makeScratchDirectory } from '../state/scratch-directory.ts';

/** A list for `pg_restore --use-list`; its disposer removes it. */
export interface RestoreList extends AsyncDisposable {
  readonly file: string;
}

/** Writes it into `directory`, or where that cannot be written into the system's own. @throws AppError `restore`. */
export async function writeRestoreList(
  entries: readonly ArchiveItem[],
  { directory, scratchOwner }: { readonly directory: string; readonly scratchOwner: string },
): Promise<RestoreList> {
  const name = createScratchName('list', { scratchOwner });
  const content = entries.map(({ dumpId }) => `${dumpId};\n`).join('');
  let lastError: unknown;
  for (const folder of [directory, tmpdir()]) {
    const file = path.join(folder, name);
    try {
      await makeScratchDirectory(folder);
      await writeFile(file, content, { flag: 'wx', mode: 0o600 });
      return { file, [Symbol.asyncDispose]: async () => rm(file, { force: true }) };
    } catch (error) {
      lastError = error;
    }
  }
  throw new AppError('restore', `The list of what to restore could not be written: ${describeError(lastError)}`, {
    cause: lastError,
    hint: 'Mount a volume that this user may write at BACKUP_SCRATCH_DIR.',
  });
}
