// Timelines: a server that was promoted goes on under a new number, and its history says from where. Replaying needs the
// history of each, and which segment belongs to which follows from it.

import type { Client } from 'pg';
import { describeError, reasonOf, toAppError } from '../errors.ts';
import type { Log } from '../log.ts';
import { historyKey } from '../snapshots/chain-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
import { formOf, type EncodingForm } from './encoding.ts';
import { parseLsn, type Lsn } from './lsn.ts';
import { encodingsOf, storePiece } from './piece-storing.ts';

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

const byHand = 'Somebody else writes into this place: look at the object, and remove it and its signature by hand.';

/** A timeline that a server is on, as far as its history is stored. */
export interface StoredTimeline {
  /** Where it begins. */
  readonly beginsAt: Lsn;
  /** Why its history is not stored; null: it is. */
  readonly problem: string | null;
}

/**
 * Stores the history of a server's timeline. What has been put in its place beforehand does not stop the log from being followed: a
 * base on the new timeline needs no history of it, and that the history is not stored is said for as long as it is so.
 */
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
): Promise<StoredTimeline> {
  const { repository, systemIdentifier, timeline, form, log, signal } = options;
  const { rows } = await client
    .query<{ content: Buffer | string }>(`TIMELINE_HISTORY ${timeline}`)
    .catch((error: unknown) => {
      throw toAppError(error, {
        code: 'database',
        message: `The history of timeline ${timeline} cannot be had`,
        hint: "Look into the database's log, then try again.",
      });
    });
  const content = Buffer.from(rows[0]?.content ?? '');
  const beginsAt = parseHistory(content.toString('utf8'), timeline).at(-2)?.end ?? 0n;
  const place = { prefix: repository.prefix, systemIdentifier };
  // Who signs nothing can tell nothing.
  const usual = historyKey(place, { timeline, ...formOf(form) });
  if (repository.signing.key === null && (await repository.store.head(usual, { signal })) !== null)
    return { beginsAt, problem: null };
  try {
    const key = await storePiece(repository, {
      content,
      encodings: encodingsOf(content, form),
      keyOf: (one) => historyKey(place, { timeline, ...one }),
      log,
      signal,
    });
    log.debug({ key }, "A timeline's history is stored");
    return { beginsAt, problem: null };
  } catch (error) {
    if (reasonOf(error) !== 'exists') throw error;
    log.error({ err: error, timeline }, 'The history of the timeline cannot be stored: something else is in its place');
    return {
      beginsAt,
      problem: `The history of timeline ${timeline} is not stored: ${describeError(error)}. ${byHand}`,
    };
  }
}
