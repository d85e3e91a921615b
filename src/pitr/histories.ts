// The histories of timelines as they are stored. One that cannot be read, or that nobody trusted has signed, counts for nothing and
// hides none of the others: anybody who may write the store can put one there, and every moment would be refused because of it.

import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import type { StoredHistory } from '../snapshots/chain-catalogue.ts';
import { readAll } from '../snapshots/document-reading.ts';
import type { Repository } from '../snapshots/repository.ts';
import { assertWalSigned } from '../snapshots/wal-signature.ts';
import { decodeWhole } from './encoding.ts';
import { isOfTheStore, type ObjectProblem } from './object-problem.ts';
import type { Lineage } from './plan.ts';
import { parseHistory } from './timeline.ts';

/** Where histories are read from. */
export interface HistoryOptions {
  readonly chain: { readonly histories: readonly StoredHistory[] };
  readonly repository: Pick<Repository, 'store' | 'signing' | 'prefix'>;
  readonly identities: readonly string[];
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A history that counts. */
export interface ReadHistory {
  readonly history: StoredHistory;
  /** As the server wrote it. */
  readonly content: Buffer;
  readonly lineage: Lineage;
}

/** Largest history that is read, in bytes: a promotion is a line of some fifty. */
const maxHistoryBytes = 64 * 1024;
/** So many are looked at, those of the first timelines: a server counts them one by one. */
const mostRead = 1_000;

/** Reads the histories, one of each timeline. Rejects where the store cannot be asked. */
export async function readHistories({ chain, ...options }: HistoryOptions): Promise<{
  readonly histories: readonly ReadHistory[];
  readonly problems: readonly ObjectProblem[];
}> {
  const { identities, log, signal } = options;
  const found = new Map<number, ReadHistory>();
  const problems: ObjectProblem[] = [];
  const sorted = chain.histories.toSorted((a, b) => a.timeline - b.timeline);
  if (sorted.length > mostRead)
    log.warn({ histories: sorted.length }, `Of the stored histories of timelines only ${mostRead} are looked at`);
  for (const history of sorted.slice(0, mostRead)) {
    // Without a private key each timeline stands for itself: what is stored can still be looked at, and not be restored.
    if ((history.encrypted && identities.length === 0) || found.has(history.timeline)) continue;
    try {
      const content = await readHistory(history, options);
      found.set(history.timeline, {
        history,
        content,
        lineage: parseHistory(content.toString('utf8'), history.timeline),
      });
    } catch (error) {
      signal.throwIfAborted();
      if (isOfTheStore(error)) throw error;
      const problem = `The history of a timeline cannot be read: ${describeError(error)}`;
      log.warn({ key: history.key, err: error }, 'The history of a timeline counts for nothing');
      problems.push({ object: history.key, problem });
    }
  }
  return { histories: [...found.values()], problems };
}

/** The timelines of which there is a history that counts, and the first. */
export async function readLineages(options: HistoryOptions): Promise<readonly Lineage[]> {
  return lineagesOf((await readHistories(options)).histories);
}

/** The timelines of these histories, and the first. */
export function lineagesOf(histories: readonly Pick<ReadHistory, 'lineage'>[]): readonly Lineage[] {
  return [[{ timeline: 1, end: null }], ...histories.map(({ lineage }) => lineage)];
}

/** The history of a timeline, decoded. @throws AppError `store` or `verify`. */
export async function readHistory(
  history: StoredHistory,
  { repository, identities, signal }: Pick<HistoryOptions, 'repository' | 'identities' | 'signal'>,
): Promise<Buffer> {
  const maxBytes = maxHistoryBytes;
  const stored = await readAll(await repository.store.get(history.key, { signal }), { maxBytes: 2 * maxBytes });
  const content = await decodeWhole(stored, { name: history.key, form: history, identities, bytes: null, maxBytes });
  await assertWalSigned(repository, { key: history.key, content, signal });
  return content;
}
