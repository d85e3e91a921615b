// The last drills as they are remembered for the status page, which asks no store. What a new container does not remember is read
// once from where the drills are stored: proof that backups restore must not be gone with a volume.

import { AppError } from '../errors.ts';
import { decodeDrill, type DrillDocument } from '../drill/drill-record.ts';
import { readAll } from '../snapshots/document-reading.ts';
import { clockToleranceMs } from '../snapshots/manifest.ts';
import { buildDrillKey, createSnapshotId } from '../snapshots/object-keys.ts';
import { describeObjection, readOrigin } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import { longestDrills, withDrills } from '../state/history.ts';
import type { DrillReport } from '../state/records.ts';
import type { ObjectKey } from '../storage/store.ts';
import type { AppContext } from './context.ts';

/** Of what may be anybody's so many are looked at. */
const mostRead = 500;

/** Remembers what a drill found. */
export async function rememberDrill(context: AppContext, document: DrillDocument): Promise<void> {
  await context.state().updateDrills((before) => withDrills(before, [toReport(document)]));
}

/** The last drills, newest first; those of the first destination when nothing is remembered. Rejects when it cannot be read. */
export async function recallDrills(
  context: Pick<AppContext, 'state' | 'storeToRead' | 'load' | 'now' | 'log'>,
  signal: AbortSignal,
): Promise<readonly DrillReport[]> {
  const remembered = await context.state().readDrills();
  if (remembered !== null && remembered.isWhole) return remembered.reports;
  const repository = await context.storeToRead(null);
  const { instance } = context.load();
  const reports: DrillReport[] = [];
  // What is dated in the future would come before all that there is.
  const latest = context.now().getTime() + clockToleranceMs;
  let read = 0;
  for (const key of await newestKeys(repository, { latest: new Date(latest), signal })) {
    if (reports.length === longestDrills) break;
    read += 1;
    if (read > mostRead) {
      context.log.warn({ store: repository.store.description }, `Of the stored drills only ${mostRead} were looked at`);
      break;
    }
    const document = await readDrill(context, { repository, key, signal });
    if (document?.instance === instance && Date.parse(document.endedAt) <= latest) reports.push(toReport(document));
  }
  await context.state().updateDrills((before) => ({ ...withDrills(before, reports), isWhole: true }));
  return reports;
}

/** So many are listed; a drill a week is fifty a year. */
const mostListed = 250_000;

// Keys sort by time, and no more are held than are looked at.
async function newestKeys(
  { store, prefix }: Repository,
  { latest, signal }: { readonly latest: Date; readonly signal: AbortSignal },
): Promise<readonly ObjectKey[]> {
  const last = buildDrillKey({ prefix, id: createSnapshotId(latest) });
  let keys: ObjectKey[] = [];
  let listed = 0;
  for await (const { key } of store.list(`${prefix}drills/`, { signal })) {
    listed += 1;
    if (listed > mostListed)
      throw new AppError('store', `'${prefix}drills/' holds more than ${mostListed} objects in ${store.description}`, {
        hint: 'Look at what is there, and move away what is not from this program.',
      });
    if (!key.endsWith('.json') || key > last) continue;
    keys.push(key);
    if (keys.length > 4 * mostRead) keys = keys.toSorted().slice(-mostRead - 1);
  }
  return keys.toSorted().toReversed();
}

function toReport(document: DrillDocument): DrillReport {
  const { id, snapshot, dataAt, startedAt, endedAt, status, durationMs, serverVersion, checks } = document;
  return { id, snapshot, dataAt, startedAt, endedAt, status, durationMs, serverVersion, checks };
}

// One that cannot be read hides no other, and one that is nobody's proves nothing.
async function readDrill(
  { log }: Pick<AppContext, 'log'>,
  {
    repository,
    key,
    signal,
  }: { readonly repository: Repository; readonly key: ObjectKey; readonly signal: AbortSignal },
): Promise<DrillDocument | undefined> {
  try {
    const content = await readAll(await repository.store.get(key, { signal }));
    const document = decodeDrill(content);
    if (document === undefined || buildDrillKey({ ...repository, id: document.id }) !== key) return undefined;
    const objection = await readOrigin(repository, { key, content, signal });
    if (objection === null) return document;
    log.warn({ key }, `The record of a drill ${describeObjection(objection)}; it counts for nothing`);
    return undefined;
  } catch (error) {
    if (signal.aborted) throw error;
    log.warn({ err: error, key }, 'A stored drill cannot be read');
    return undefined;
  }
}
