// The restore drill by hand and by the clock: under the lock, its result stored beside the snapshots, remembered for health,
// and told to people.

import type { ProgressListener } from '../backup/progress.ts';
import { wantsEncrypted } from '../config/age-keys.ts';
import { findLatest } from '../snapshots/choice.ts';
import { encodeDrill, type DrillDocument } from '../drill/drill-record.ts';
import { dumpOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import type { EarlierRows } from '../checks/missing-rows.ts';
import { failed, note, ok, shown, type CheckResult } from '../checks/check.ts';
import { compareFingerprints, describeDifference } from '../mastodon/secret-fingerprints.ts';
import { buildDrillKey, createSnapshotId } from '../snapshots/object-keys.ts';
import { storeSignature } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import { drill as carryOut } from '../drill/drill.ts';
import type { DrillRecord } from '../state/records.ts';
import { plural } from '../text/table.ts';
import { chooseToRestore, type SnapshotRequest } from './choosing.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';
import { rememberDrill } from './drill-memory.ts';
import { watchDrill } from './drill-watch.ts';
import { rememberProgress } from './progress-memory.ts';
import { scratchMeans, sourceOf } from './scratch-means.ts';

/** Options of `drill`. */
export interface DrillRequest extends SnapshotRequest {
  /** Whether to wait while a run holds the lock. */
  readonly wait: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** Restores a snapshot into a throw-away server and checks it. */
export async function drill(context: AppContext, request: DrillRequest): Promise<DrillDocument> {
  const { log, now } = context;
  const { signal } = request;
  const { settings, instance } = context.load();
  await using _lock = await lockFor(context, { name: 'drill', command: 'drill', wait: request.wait, signal });
  const { repository, catalogue, manifest, notes } = await chooseToRestore(context, request);
  const dump = dumpOf(manifest);
  const startedAt = now();
  log.info({ snapshot: snapshotName(manifest), store: repository.store.description }, 'Drill started');
  await using watch = await watchDrill(context, { manifest, repository, startedAt, signal });
  await using progress = rememberProgress(context, { of: 'drill', onProgress: request.onProgress });
  const drilled = carryOut({
    ...(await scratchMeans(context, signal)),
    source: sourceOf(context, { repository, manifest, given: request.identities }),
    isKeyGiven: request.identities.length > 0,
    earlier: earlierThan(manifest, catalogue.snapshots),
    secrets: checkSecrets(context, manifest),
    now,
    signal: watch.signal,
    onProgress: (bytes) => progress.onProgress({ step: 'restore', bytes, expectedBytes: dump.bytes }),
  });
  const { checks: found, ...outcome } = await watch.judge(drilled);
  const checks = [...found, ...notes];
  const document: DrillDocument = {
    format: 1,
    id: createSnapshotId(startedAt),
    instance: manifest.instance,
    tool: { version: context.toolVersion },
    snapshot: snapshotName(manifest),
    dataAt: manifest.dataAt.toISOString(),
    startedAt: startedAt.toISOString(),
    endedAt: now().toISOString(),
    ...outcome,
    checks: checks.map((result) => shown(result, { withValues: true })),
  };
  // What is kept and sent is not encrypted: beside an encrypted snapshot it tells nothing of what is in it.
  const withValues = dump.encryption === null;
  const kept = { ...document, checks: checks.map((result) => shown(result, { withValues })) };
  const { manifest: newest } = findLatest(catalogue, {
    instance,
    tier: null,
    now: now(),
    encryptedOnly: wantsEncrypted(settings.keys),
  });
  await keep(context, { document: kept, repository, signal });
  // That another instance's backups restore is no news of ours.
  if (manifest.instance !== instance) return document;
  await remember(context, { document: kept, ofNewest: newest?.dataAt.getTime() === manifest.dataAt.getTime() });
  await context.tell(
    {
      kind: 'drill-ended',
      status: document.status,
      snapshot: document.snapshot,
      durationMs: document.durationMs,
      findings: findingsOf(kept),
    },
    signal,
  );
  return document;
}

/** What was found wrong or left out, a line each. */
function findingsOf({ checks, status }: Pick<DrillDocument, 'checks' | 'status'>): readonly string[] {
  const worth = checks.filter((check) => check.status !== 'ok');
  const lines = worth.map(({ check, detail, remedy }) => `${check}: ${detail}${remedy === null ? '' : `. ${remedy}`}`);
  return status === 'passed' ? [`${plural(checks.length - worth.length, 'check')} passed`, ...lines] : lines;
}

function earlierThan(manifest: Manifest, snapshots: readonly Manifest[]): readonly EarlierRows[] {
  return snapshots
    .filter(({ instance, dataAt }) => instance === manifest.instance && dataAt < manifest.dataAt)
    .map((one) => ({ snapshot: snapshotName(one), dataAt: one.dataAt, rows: one.database.rows }));
}

function checkSecrets(context: AppContext, manifest: Manifest): CheckResult | null {
  const comparison = compareFingerprints(manifest, context.environment);
  if (comparison === null) return null;
  const snapshot = snapshotName(manifest);
  const difference = describeDifference(comparison, { snapshot }).join('; ');
  if (comparison.changed.length > 0) {
    return failed('secrets', {
      detail: difference,
      remedy: 'Put the former values back, or take a new backup if they were changed on purpose.',
    });
  }
  return difference === '' ? ok('secrets', 'those of the snapshot are still in force') : note('secrets', difference);
}

async function remember(
  context: AppContext,
  { document, ofNewest }: { readonly document: DrillDocument; readonly ofNewest: boolean },
): Promise<void> {
  await context.state().updateAttempts(({ drill: before, failures }) => ({
    drill: toDrillRecord(document, { ofNewest, lastSuccessAt: before?.lastSuccessAt ?? null }),
    drillSetbacks: 0,
    failures: Object.fromEntries(Object.entries(failures).filter(([tier]) => tier !== 'drill')),
  }));
  await rememberDrill(context, document);
}

/** A stored drill as it is remembered. */
export function toDrillRecord(
  document: Omit<DrillDocument, 'format' | 'instance' | 'tool'>,
  { ofNewest, lastSuccessAt }: { readonly ofNewest: boolean; readonly lastSuccessAt: string | null },
): DrillRecord {
  const { endedAt, status, snapshot, durationMs } = document;
  return {
    at: endedAt,
    status,
    snapshot,
    durationMs,
    ofNewest,
    lastSuccessAt: status === 'passed' ? endedAt : lastSuccessAt,
    findings: findingsOf(document),
  };
}

// A skipped one proves nothing and is not kept. What cannot be kept is no reason to throw away what was found.
async function keep(
  context: AppContext,
  {
    document,
    repository,
    signal,
  }: { readonly document: DrillDocument; readonly repository: Repository; readonly signal: AbortSignal },
): Promise<void> {
  if (document.status === 'skipped') return;
  const key = buildDrillKey({ prefix: repository.prefix, id: document.id });
  try {
    const content = encodeDrill(document);
    await storeSignature(repository, { key, content, signal });
    await repository.store.putDocument(key, content, { signal });
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error, key }, "The drill's result could not be stored");
  }
}
