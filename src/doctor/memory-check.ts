// Whether a run fits into the memory there is, and how large it may become.

import { codecMemory, threadsOf, withThreads } from '../codec/codec.ts';
import type { DatabaseFacts } from '../database/server.ts';
import { choosePartBytes, expectedObjectBytes } from '../snapshots/part-size.ts';
import { planMemory } from '../backup/memory.ts';
import { formatMiB } from '../text/format.ts';
import { plural } from '../text/table.ts';
import { fine, problem, type Examination, type Finding } from './finding.ts';

/** The plan of a run as findings; `facts` null: the database could not be asked. */
export function examineMemory(examination: Examination, facts: DatabaseFacts | null): readonly Finding[] {
  if (facts === null) return [];
  const compression = withThreads(examination.settings.compression, examination.settings.threads);
  const compressed = compression.kind !== 'none';
  try {
    const parts = examination.stores.map(({ store, partsInMemory }) => ({
      partsInMemory,
      partBytes: choosePartBytes({ databaseBytes: facts.sizeBytes, compressed, store }),
    }));
    const plan = planMemory({
      threads: threadsOf(compression),
      cores: examination.cores,
      limitBytes: examination.memoryLimitBytes,
      coderMemory: (count) => codecMemory(withThreads(compression, count)),
      partsMemory: parts.reduce((sum, part) => sum + part.partBytes * part.partsInMemory, 0),
    });
    const most = expectedObjectBytes(facts.sizeBytes, { compressed });
    return [
      fine(
        'memory',
        `${formatMiB(plan.totalBytes)} of ${formatMiB(plan.limitBytes)} with ${plural(plan.threads, 'thread')}` +
          (plan.note === null ? '' : ` (${plan.note})`),
      ),
      fine(
        'size',
        `planned for at most ${formatMiB(most)} in parts of ${[...new Set(parts.map(({ partBytes }) => formatMiB(partBytes)))].join(' and ')}`,
      ),
    ];
  } catch (error) {
    return [problem('memory', error)];
  }
}
