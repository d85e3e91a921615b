// The chain of base backups and log as a whole: what of the past can be had, remembered for health and the status page, and what
// nobody needs any more.

import { identitiesOf } from '../config/age-keys.ts';
import { dropFalseTails } from '../pitr/false-tail.ts';
import { readLineages } from '../pitr/histories.ts';
import { windowOf, type PitrWindow } from '../pitr/window.ts';
import type { BaseDocument } from '../snapshots/base-document.ts';
import { readChain, type Chain } from '../snapshots/chain-catalogue.ts';
import { describeObjection } from '../snapshots/origin.ts';
import { formatLsn, parseLsn } from '../pitr/lsn.ts';
import type { BaseRecord } from '../state/pitr-record.ts';
import { pruneChains } from './chain-pruning.ts';
import type { AppContext } from './context.ts';

/** A chain, and what can be had of it. */
export interface KnownChain {
  readonly chain: Chain;
  readonly window: PitrWindow;
}

/** Reads the chain of a server. */
export async function readKnownChain(
  context: AppContext,
  { systemIdentifier, signal }: { readonly systemIdentifier: string; readonly signal: AbortSignal },
): Promise<KnownChain> {
  const repository = await context.storeToRead(null);
  const chain = await readChain(repository, { systemIdentifier, signal });
  const identities = identitiesOf(context.load().settings.keys);
  const lineages = await readLineages({ chain, repository, identities, log: context.log, signal });
  const { wal } = await dropFalseTails(chain, { lineages, repository, identities, log: context.log, signal });
  return { chain, window: windowOf({ ...chain, wal }, { lineages }) };
}

/**
 * Looks at the chain of the server that is followed, applies retention to it, and remembers what can be had of it. The caller holds
 * the lock `base`.
 */
export async function lookAtChain(context: AppContext, signal: AbortSignal): Promise<void> {
  const systemIdentifier = (await context.state().readPitr())?.following?.systemIdentifier;
  if (systemIdentifier === undefined) return;
  const { chain, window } = await readKnownChain(context, { systemIdentifier, signal });
  const retentionProblem = await pruneChains(context, { chain, signal });
  for (const gap of window.gaps) context.log.warn({ systemIdentifier }, `Not every moment can be had: ${gap}`);
  for (const { id, reason } of [...chain.damaged, ...chain.unreadable, ...unsignedOf(chain)])
    context.log.warn({ id, reason }, 'A base backup counts for nothing');
  const [newest] = chain.bases;
  await context.state().updatePitr({
    base: newest === undefined ? null : toBaseRecord(newest),
    window: {
      at: context.now().toISOString(),
      systemIdentifier,
      from: window.first?.endedAt.toISOString() ?? null,
      gaps: window.gaps,
      retentionProblem,
      bases: chain.bases.length,
      bytes: chain.bytes,
    },
  });
}

/** Bases that count for nothing because of who did not sign them. */
export function unsignedOf({ unsigned }: Pick<Chain, 'unsigned'>): Chain['damaged'] {
  return unsigned.map(({ document, objection }) => ({ id: document.id, reason: `it ${describeObjection(objection)}` }));
}

/** A base as it is remembered. */
export function toBaseRecord(base: BaseDocument): BaseRecord {
  return {
    id: base.id,
    systemIdentifier: base.systemIdentifier,
    timeline: base.timeline,
    startLsn: formatLsn(parseLsn(base.startLsn)),
    startedAt: base.startedAt.toISOString(),
    endedAt: base.endedAt.toISOString(),
    bytes: base.tar.bytes,
  };
}
