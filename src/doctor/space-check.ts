// Whether the next backup has room where it goes, told before it is made.

import { describeLack, expectedBytes, roomRemedy } from '../backup/room-check.ts';
import type { AskedBackups } from '../snapshots/earlier-backups.ts';
import { dumpOf } from '../snapshots/manifest.ts';
import { formatBytes } from '../text/format.ts';
import { problem, type Finding } from './finding.ts';

/** So many more have room before it is worth a word. */
const comfortable = 3;

/** Compares what is free at each place with what its last snapshot took; `databaseBytes` null: the database could not be asked. */
export async function examineSpace(
  earlier: readonly AskedBackups[],
  options: { readonly compression: string; readonly databaseBytes: number | null; readonly signal: AbortSignal },
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const { repository, snapshots } of earlier) {
    const { store } = repository;
    const check = `${store.name} space`;
    try {
      const space = await store.space(options);
      if (space === null) continue;
      const [last] = snapshots;
      const free = `${formatBytes(space.freeBytes)} of ${formatBytes(space.totalBytes)} are free`;
      if (last === undefined) {
        findings.push({ check, status: 'ok', detail: free, remedy: null });
        continue;
      }
      const databaseBytes = options.databaseBytes ?? last.database.sizeBytes;
      const expected = expectedBytes(last, { ...options, databaseBytes });
      if (space.freeBytes < comfortable * expected) {
        const status = space.freeBytes < expected ? 'problem' : 'warning';
        findings.push({ check, status, detail: describeLack(space, expected), remedy: roomRemedy });
      } else {
        const detail = `${free}; the last snapshot took ${formatBytes(dumpOf(last).bytes)}`;
        findings.push({ check, status: 'ok', detail, remedy: null });
      }
    } catch (error) {
      options.signal.throwIfAborted();
      findings.push({ ...problem(check, error), status: 'warning' });
    }
  }
  return findings;
}
