// `pitr verify`: all that is stored of our servers' log and bases, read to its end, so that a damaged or missing object is known
// before the moment that needs it.

import type { ProgressListener } from '../backup/progress.ts';
import { identitiesOf } from '../config/age-keys.ts';
import { AppError } from '../errors.ts';
import { checkChain, type CheckedChain } from '../pitr/chain-check.ts';
import { parseLsn } from '../pitr/lsn.ts';
import { listChains, readChain, type Chain } from '../snapshots/chain-catalogue.ts';
import type { StoreName } from '../storage/store.ts';
import type { AppContext } from './context.ts';

/** Options of `pitr verify`. */
export interface PitrVerifyRequest {
  readonly from: StoreName | null;
  /** Null: this one. */
  readonly instance: string | null;
  readonly identities: readonly string[];
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** What `pitr verify` found. */
export interface PitrVerification {
  readonly place: string;
  readonly chains: readonly CheckedChain[];
}

/** Looks at them. @throws AppError `no-snapshot` when nothing is stored of this instance. */
export async function verifyPitr(context: AppContext, request: PitrVerifyRequest): Promise<PitrVerification> {
  const { settings, instance } = context.load();
  const { signal } = request;
  const repository = await context.storeToRead(request.from);
  // Before the store is looked at: it may be ahead of this, and not behind.
  const following = (await context.state().readPitr())?.following ?? null;
  const wanted = request.instance ?? instance;
  // A chain of which no document says whose it is may be ours: then all of it is damaged.
  const isOurs = ({ bases, unsigned }: Chain): boolean => {
    const all = [...bases, ...unsigned.map(({ document }) => document)];
    return all.some((base) => base.instance === wanted) || (request.instance === null && all.length === 0);
  };
  const keys = [...request.identities, ...identitiesOf(settings.keys)];
  const checked: CheckedChain[] = [];
  for (const systemIdentifier of await listChains(repository, { signal })) {
    const chain = await readChain(repository, { systemIdentifier, signal });
    if (!isOurs(chain)) continue;
    const isFollowed = request.from === null && following?.systemIdentifier === systemIdentifier;
    checked.push(
      await checkChain({
        repository,
        chain,
        identities: keys.length === 0 ? null : keys,
        threads: settings.threads,
        storedTo: isFollowed ? { timeline: following.timeline, lsn: parseLsn(following.storedTo) } : null,
        patience: context.readPatience,
        onProgress: (bytes, expectedBytes) => request.onProgress({ step: 'verify', bytes, expectedBytes }),
        log: context.log,
        signal,
      }),
    );
  }
  if (checked.length === 0)
    throw new AppError(
      'no-snapshot',
      `Nothing is stored of the log of '${wanted}' in ${repository.store.description}`,
      {
        hint: 'Set BACKUP_PITR=on and start the daemon; snapshots are verified with: mastodon-backup verify.',
      },
    );
  return { place: repository.store.description, chains: checked };
}
