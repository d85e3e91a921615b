// The doctor's examination with everything it looks at: settings, database, stores, memory.

import { availableParallelism } from 'node:os';
import { describeTarget } from '../database/connection.ts';
import { examine } from '../doctor/doctor.ts';
import { problem, type Finding, type Inventory } from '../doctor/finding.ts';
import { answerOf, longestSilenceMs } from '../doctor/silence.ts';
import { describeMissing } from '../health/missing.ts';
import { defaultMemoryLimit } from '../backup/memory-limit.ts';
import { examinePitr } from '../pitr/pitr-check.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { manifestKey } from '../snapshots/object-keys.ts';
import { signatureKey, wantsSigned } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { AppContext } from './context.ts';
import { examineDrill } from './drill-check.ts';
import { unreadableState } from './health-verb.ts';
import { readHoldings, silentPlaces } from './holdings.ts';
import { acceptFlag, recordOf } from './places.ts';
import { openStores } from './repositories.ts';

/** A run asks eight times; whoever waits for an answer wants to hear of the first ones. */
const patience = { maxAttempts: 2, socketTimeoutMs: longestSilenceMs } as const;

/** Checks everything that can be checked without taking a backup. */
export async function doctor(context: AppContext, signal: AbortSignal): Promise<readonly Finding[]> {
  const { settings } = context.load();
  const stores = await openStores(settings, { ...context, patience });
  try {
    const [findings, pitr, unreadable] = await Promise.all([
      examineAll(context, { stores, signal }),
      settings.pitr.isOn ? examineLog(context, signal) : [],
      unreadableState(context),
    ]);
    const state: readonly Finding[] =
      unreadable === null ? [] : [{ ...problem('state files', unreadable), status: 'warning' }];
    return [...findings, ...state, ...pitr];
  } finally {
    for (const { store } of stores) await store.close();
  }
}

async function examineAll(
  context: AppContext,
  { stores, signal }: { readonly stores: readonly Repository[]; readonly signal: AbortSignal },
): Promise<readonly Finding[]> {
  const { settings, target, instance } = context.load();
  return examine({
    settings,
    warnings: context.warnings,
    channelProblems: context.channelProblems,
    channels: context.channels(),
    redact: context.redact,
    environment: context.environment,
    instance,
    connection: target,
    lastEncryption: (await context.state().readAttempts()).encryption,
    pathVariable: context.environment.get('PATH')?.text ?? '',
    uid: context.uid,
    memoryLimitBytes: settings.memoryLimitBytes ?? (await defaultMemoryLimit()),
    cores: availableParallelism(),
    stores,
    takeInventory: async (store, limit) => takeInventory(context, { store, signal: limit }),
    examineDrill: async (earlier, options) => examineDrill(context, { ...options, earlier, signal }),
    now: context.now,
    signal,
  });
}

async function examineLog(context: AppContext, signal: AbortSignal): Promise<readonly Finding[]> {
  const { settings, target, instance } = context.load();
  const asked = {
    what: `The database ${describeTarget(target)}`,
    hint: 'Check the database, whose log is to be followed.',
  };
  try {
    const ask = async (limit: AbortSignal): Promise<readonly Finding[]> =>
      examinePitr(target, {
        settings: settings.pitr,
        instance,
        isSigned: settings.signing.key !== null,
        signal: limit,
      });
    return await answerOf(asked, { signal, ask });
  } catch (error) {
    signal.throwIfAborted();
    return [problem('point-in-time recovery', error)];
  }
}

async function takeInventory(
  context: AppContext,
  { store, signal }: { readonly store: Repository; readonly signal: AbortSignal },
): Promise<Inventory> {
  const { instance } = context.load();
  const holdings = await readHoldings(context, signal, { among: [store], isImpatient: true });
  const records = (await context.state().readStores())?.stores;
  const earlier = holdings.flatMap(({ repository, catalogue, snapshots }) => {
    if (catalogue === null) return [];
    const unsigned = catalogue.unsigned.filter(({ manifest }) => manifest.instance === instance);
    return [{ repository, snapshots, unsigned }];
  });
  const strange = holdings.flatMap(({ repository, standing, error }): readonly Finding[] =>
    standing?.kind === 'strange' ? [problem(`${repository.store.name} place`, error)] : [],
  );
  const unseen = strange.length > 0 ? [] : silentPlaces(holdings);
  const missing = holdings.flatMap(({ repository, standing }): readonly Finding[] => {
    const lost = recordOf(repository, records)?.missing ?? [];
    if (standing?.kind === 'strange' || lost.length === 0) return [];
    const { name, description } = repository.store;
    return [
      {
        check: `${name} place`,
        status: 'warning',
        detail: describeMissing(lost, description),
        remedy: `Look where they have gone, who may delete there and by which rules; if that was meant: mastodon-backup prune ${acceptFlag}.`,
      },
    ];
  });
  return {
    earlier,
    signed: await findSigned(earlier, signal),
    findings: [
      ...strange,
      ...unseen.map(({ repository, error }) => problem(`${repository.store.name} contents`, error)),
      ...missing,
    ],
  };
}

// What is not looked at in a catalogue where nobody is trusted.
async function findSigned(
  earlier: readonly (EarlierBackups & { readonly repository: Repository })[],
  signal: AbortSignal,
): Promise<readonly EarlierBackups[]> {
  const found = await Promise.all(
    earlier.map(async ({ repository, snapshots }) => {
      const { store, prefix, signing } = repository;
      const [newest] = snapshots;
      if (newest === undefined || wantsSigned(signing)) return [];
      const signature = await store.head(signatureKey(manifestKey(prefix, newest)), { signal }).catch(() => null);
      return signature === null ? [] : [{ repository, snapshots: [newest] }];
    }),
  );
  return found.flat();
}
