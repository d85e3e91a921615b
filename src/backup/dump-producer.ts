// A dump as the pipeline takes it: its rows are counted as it passes, and an archive that ends early is told in the words of
// the pg_dump that died.

import { ArchiveError } from '../database/archive-grammar.ts';
import { createArchiveReader, type ArchiveSummary } from '../database/archive-reader.ts';
import type { Dump } from '../database/dump.ts';
import { AppError, describeError, toAppError } from '../errors.ts';
import { unlessAborted } from '../stream/abortable.ts';
import { formatSpan } from '../text/format.ts';
import type { Producer } from './producer.ts';

/** A dump's producer: what is found are the rows of its tables, its end tells the moment of its data. */
export function produceDump(dump: Dump): Producer<ArchiveSummary, { readonly dataAt: Date }> {
  return {
    bytes: dump.bytes,
    done: dump.done,
    inspector: createArchiveReader(),
    words: {
      stalled: (timeoutMs) =>
        new AppError('stalled', `The dump stood still for ${formatSpan(timeoutMs)}`, {
          hint: 'Look at pg_stat_activity and the disk of the database; BACKUP_STALL_TIMEOUT says how long to wait.',
        }),
      failed: async (error, { signal }) => explain(error, { dump, signal }),
    },
  };
}

async function explain(
  error: unknown,
  { dump, signal }: { readonly dump: Dump; readonly signal: AbortSignal },
): Promise<AppError> {
  const hint = 'Run the backup again; if it stays like that, check the client with BACKUP_PG_BIN.';
  if (!(error instanceof ArchiveError)) return toAppError(error, { code: 'dump', message: 'The dump failed', hint });
  if (!dump.bytes.readableEnded) {
    return new AppError('dump', `What pg_dump writes is no archive: ${describeError(error)}`, { cause: error, hint });
  }
  // An archive that ends early is what a dead pg_dump leaves; its own words say why.
  await unlessAborted(dump.done, { signal });
  return new AppError('dump', `pg_dump exited well, but its archive is not whole: ${describeError(error)}`, {
    cause: error,
    hint,
  });
}
