// Timelines: a server that was promoted goes on under a new number, and its history says from where. Replaying needs the
// history of each, and which segment belongs to which follows from it.

import type { Client } from 'pg';
import { AppError, describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { historyKey } from '../snapshots/chain-keys.ts';
import { signatureKey } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import { signWal } from '../snapshots/wal-signature.ts';
import { encodeWhole, formOf, type EncodingForm } from './encoding.ts';
import { parseLsn, type Lsn } from './lsn.ts';

/** A timeline and where it ends; null: it goes on. */
export interface TimelineStretch {
  readonly timeline: number;
  readonly end: Lsn | null;
}

/** Reads a history: its ancestors, the oldest first, and itself. Throws for what is none. */
export function parseHistory(text: string, timeline: number): readonly TimelineStretch[] {
  const ancestors = text.split('\n').flatMap((line): readonly TimelineStretch[] => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return [];
    const match = /^(\d+)\s+([0-9A-Fa-f]+\/[0-9A-Fa-f]+)/.exec(trimmed);
    if (match === null) throw new Error(`'${trimmed}' is no line of a timeline's history`);
    return [{ timeline: Number(match[1]), end: parseLsn(match[2] ?? '') }];
  });
  return [...ancestors, { timeline, end: null }];
}

/** The timeline on which the byte at `lsn` was written. */
export function timelineAt(history: readonly TimelineStretch[], lsn: Lsn): number {
  const found = history.find(({ end }) => end === null || lsn < end);
  return found?.timeline ?? 1;
}

/** Stores the history of a server's timeline, unless it is there. */
export async function storeHistory(
  client: Client,
  options: {
    readonly repository: Repository;
    readonly systemIdentifier: string;
    readonly timeline: number;
    readonly form: EncodingForm;
    readonly log: Log;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { repository, systemIdentifier, timeline, form, log, signal } = options;
  const key = historyKey({ prefix: repository.prefix, systemIdentifier }, { timeline, ...formOf(form) });
  const [found, signed] = await Promise.all(
    [key, signatureKey(key)].map(async (one) => repository.store.head(one, { signal })),
  );
  if (found !== null && (signed !== null || repository.signing.key === null)) return;
  const { rows } = await client
    .query<{ content: Buffer | string }>(`TIMELINE_HISTORY ${timeline}`)
    .catch((error: unknown) => {
      throw new AppError('database', `The history of timeline ${timeline} cannot be had: ${describeError(error)}`, {
        cause: error,
      });
    });
  const content = Buffer.from(rows[0]?.content ?? '');
  await signWal(repository, { key, content, signal });
  if (found === null) await repository.store.putDocument(key, await encodeWhole(content, form), { signal });
  log.info({ key }, "A timeline's history is stored");
}
