// What a run decides before the first byte: the key and part size at each destination, and how many threads fit into the
// memory. Decided later, a dump of hours could end on its 10,001st part.

import { codecMemory, objectSuffix, threadsOf, withThreads, type Compression } from '../codec/codec.ts';
import type { BackupOptions } from './backup.ts';
import { planMemory } from './memory.ts';
import { folderOf } from './purpose.ts';
import { choosePartBytes } from '../snapshots/part-size.ts';
import { createDestination, type Destination } from '../snapshots/destination.ts';

/** What the decisions depend on. */
export type RunPlanOptions = Pick<
  BackupOptions,
  'purpose' | 'stores' | 'compression' | 'cores' | 'memoryLimitBytes' | 'verify' | 'recipients' | 'log'
>;

/** The destinations of the run `id`, in the order of the stores. Throws AppError when the database cannot fit. */
export function planDestinations(
  options: RunPlanOptions,
  { id, facts }: { readonly id: string; readonly facts: { readonly sizeBytes: number } },
): readonly Destination[] {
  const compressed = options.compression.kind !== 'none';
  const suffix = objectSuffix({ compression: options.compression.kind, encrypted: options.recipients.length > 0 });
  return options.stores.map((repository) =>
    createDestination(repository, {
      tier: folderOf(options.purpose),
      name: `${id}${suffix}`,
      partBytes: choosePartBytes({
        databaseBytes: facts.sizeBytes,
        compressed,
        store: repository.store,
      }),
      verify: options.verify,
    }),
  );
}

/** The compression with as many threads as fit into the memory. Throws AppError when not even one does. */
export function planCompression(options: RunPlanOptions, destinations: readonly Destination[]): Compression {
  const { compression } = options;
  const plan = planMemory({
    threads: threadsOf(compression),
    cores: options.cores,
    limitBytes: options.memoryLimitBytes,
    coderMemory: (threads) => codecMemory(withThreads(compression, threads)),
    partsMemory: destinations.reduce(
      (sum, { partBytes }, index) => sum + partBytes * (options.stores[index]?.partsInMemory ?? 0),
      0,
    ),
  });
  options.log.info(
    { threads: plan.threads, memoryBytes: plan.totalBytes, limitBytes: plan.limitBytes },
    plan.note === null ? 'Memory planned' : `Memory planned: ${plan.note}`,
  );
  return withThreads(compression, plan.threads);
}
