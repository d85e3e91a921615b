// The stores of the settings with the prefix of their keys, the bucket first: reading commands take it when there is one.

import type { Settings } from '../config/settings.ts';
import type { Log } from '../log.ts';
import type { Holding } from './holdings.ts';
import { sweep } from '../snapshots/deletion-law.ts';
import { createManifestMemory, type ManifestMemory } from '../snapshots/manifest-memory.ts';
import { createRepository, type Repository } from '../snapshots/repository.ts';
import { openOwnFile } from '../state/own-file.ts';
import { createLocalStore } from '../storage/local-store.ts';
import type { S3Patience } from '../storage/s3-bucket.ts';
import type { ObjectStore } from '../storage/store.ts';

/** What all that is remembered of a store takes on the disk at most, in bytes; ten thousand manifests take some 4 MB. */
const mostMemoryBytes = 64 * 1024 * 1024;

/** Opens the stores that are set; `patience` replaces how long, and how often, a silent bucket is asked. */
export async function openStores(
  settings: Settings,
  {
    patience,
    toolVersion,
    log,
  }: { readonly patience: Partial<S3Patience> | undefined; readonly toolVersion: string; readonly log: Log },
): Promise<readonly Repository[]> {
  const { signing, stateDirectory } = settings;
  const memoryOf = ({ name, description }: ObjectStore, prefix: string): ManifestMemory => {
    const subject = JSON.stringify([description, prefix]);
    const file = openOwnFile({
      directory: stateDirectory,
      name: `manifests-${name}`,
      subject,
      mostBytes: mostMemoryBytes,
      log,
    });
    return createManifestMemory({ place: description, prefix, trusted: signing.trusted, version: toolVersion }, file);
  };
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
          const memory = memoryOf(store, prefix);
          return createRepository(store, { prefix, signing, memory, partsInMemory: concurrency + 2 });
        }
        case 'local': {
          const store = createLocalStore(destination);
          return createRepository(store, { signing, memory: memoryOf(store, '') });
        }
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
