// The stores of the settings with the prefix of their keys, the bucket first: reading commands take it when there is one.

import type { Settings } from '../config/settings.ts';
import type { Log } from '../log.ts';
import type { Holding } from './holdings.ts';
import { sweep } from '../snapshots/deletion-law.ts';
import { createRepository, type Repository } from '../snapshots/repository.ts';
import { createLocalStore } from '../storage/local-store.ts';
import type { S3Patience } from '../storage/s3-bucket.ts';

/** Opens the stores that are set; `patience` replaces how long, and how often, a silent bucket is asked. */
export async function openStores(
  settings: Settings,
  { patience }: { readonly patience: Partial<S3Patience> | undefined },
): Promise<readonly Repository[]> {
  const { signing } = settings;
  return Promise.all(
    settings.destinations.map(async (destination): Promise<Repository> => {
      switch (destination.kind) {
        case 's3': {
          // The SDK is a third of what the program loads: not before something is asked of a bucket.
          const { createS3Store } = await import('../storage/s3-store.ts');
          const { defaultPatience: usual } = await import('../storage/s3-bucket.ts');
          // Silence counts as a failed attempt well before the whole destination counts as stalled.
          const socketTimeoutMs = Math.min(usual.socketTimeoutMs, Math.max(1_000, settings.stallTimeoutMs / 2));
          const store = createS3Store(destination, { patience: { ...usual, socketTimeoutMs, ...patience } });
          const { prefix, concurrency } = destination;
          return createRepository(store, { prefix, signing, partsInMemory: concurrency + 2 });
        }
        case 'local':
          return createRepository(createLocalStore(destination), { signing });
        default:
          return destination satisfies never;
      }
    }),
  );
}

/** Sweeps every store that could be read. What cannot be swept today is swept tomorrow; it is no reason not to back up. */
export async function sweepAll(
  holdings: readonly Pick<Holding, 'repository' | 'catalogue' | 'error'>[],
  options: { readonly settings: Settings; readonly now: () => Date; readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  const { log, signal } = options;
  for (const { repository, catalogue, error: unread } of holdings) {
    try {
      if (catalogue === null) throw unread;
      await sweep(repository, { catalogue, now: options.now(), timeoutMs: options.settings.timeoutMs, log, signal });
    } catch (error) {
      signal.throwIfAborted();
      log.warn(
        { err: error, store: repository.store.description },
        'Could not look for what interrupted runs left behind',
      );
    }
  }
}
