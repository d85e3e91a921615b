// The doctor's examination with everything it looks at: settings, database, stores, memory.

import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { examine } from '../doctor/doctor.ts';
import { problem, type Finding, type Inventory } from '../doctor/finding.ts';
import { describeMissing } from '../health/missing.ts';
import { defaultMemoryLimit } from '../backup/memory-limit.ts';
import { examinePitr } from '../pitr/pitr-check.ts';
import { describeEarlyExpiry, findEarlyExpiry } from '../retention/lifecycle.ts';
import { maxClockSkewMs, probeKey, removeProbe } from '../snapshots/deletion-law.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { AppContext } from './context.ts';
import { readHoldings } from './holdings.ts';
import { acceptFlag, recordOf } from './places.ts';

/** Checks everything that can be checked without taking a backup. */
export async function doctor(context: AppContext, signal: AbortSignal): Promise<readonly Finding[]> {
  const { settings, target, instance } = context.load();
  const random = randomBytes(8).toString('hex');
  const findings = await examine({
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
    maxClockSkewMs,
    stores: (await context.stores()).map((repository) => {
      const { prefix } = repository;
      const key = probeKey({ prefix, random });
      return {
        ...repository,
        earlyExpiry: (rules) =>
          findEarlyExpiry(rules, { prefix, keep: settings.retention.keep }).map(describeEarlyExpiry),
        // A time of its own: also who is interrupted takes the probe away.
        probe: {
          key,
          remove: async () => removeProbe(repository, { key, signal: AbortSignal.timeout(10_000) }),
        },
      };
    }),
    takeInventory: async (stores, limit) => takeInventory(context, { stores, signal: limit }),
    now: context.now,
    signal,
  });
  if (!settings.pitr.isOn) return findings;
  return [...findings, ...(await examinePitr(target, { settings: settings.pitr, instance, signal }))];
}

async function takeInventory(
  context: AppContext,
  { stores, signal }: { readonly stores: readonly Repository[]; readonly signal: AbortSignal },
): Promise<Inventory> {
  const { instance } = context.load();
  const holdings = await readHoldings(context, signal, { among: stores });
  const records = (await context.state().readStores())?.stores;
  const earlier = holdings.flatMap(({ repository, catalogue, snapshots }) => {
    if (catalogue === null) return [];
    const unsigned = catalogue.unsigned.filter(({ manifest }) => manifest.instance === instance);
    return [{ repository, snapshots, unsigned }];
  });
  const findings = holdings.flatMap(({ repository, standing, error }): readonly Finding[] => {
    const check = `${repository.store.name} place`;
    if (standing?.kind === 'strange') return [problem(check, error)];
    const missing = recordOf(repository, records)?.missing ?? [];
    if (missing.length === 0) return [];
    const { description } = repository.store;
    return [
      {
        check,
        status: 'warning',
        detail: describeMissing(missing, description),
        remedy: `Look where they have gone, who may delete there and by which rules; if that was meant: mastodon-backup prune ${acceptFlag}.`,
      },
    ];
  });
  return { earlier, findings };
}
