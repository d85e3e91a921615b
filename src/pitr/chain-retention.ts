// Which base backups and which log nobody needs any more: a pure function of what is stored and of now. Whole chains are kept: the
// newest base from before the time that is wanted, everything after it, and always the newest base that leads somewhere.

import type { BaseDocument } from '../snapshots/base-document.ts';
import type { Chain } from '../snapshots/chain-catalogue.ts';
import { baseDocumentKey, baseKey, type ChainPlace } from '../snapshots/chain-keys.ts';
import type { ObjectKey } from '../storage/store.ts';
import { parseLsn } from './lsn.ts';
import { followBase, type Lineage } from './plan.ts';

/** What retention would do to a chain. */
export interface ChainPlan {
  readonly keep: readonly BaseDocument[];
  readonly remove: readonly ObjectKey[];
  /** Why nothing goes although something could; null: nothing holds it. */
  readonly hold: string | null;
}

type Stored = Pick<
  Chain,
  'bases' | 'damaged' | 'unreadable' | 'unsigned' | 'signatures' | 'wal' | 'unsignedWal' | 'walSignatures'
>;

/** Plans it for the server that is followed. */
export function planChain(
  chain: Stored,
  options: {
    readonly place: ChainPlace;
    readonly instance: string;
    /** Every moment since then is wanted. */
    readonly since: Date;
    readonly lineages: readonly Lineage[];
  },
): ChainPlan {
  const { place, instance, since, lineages } = options;
  const nothing = (hold: string | null): ChainPlan => ({ keep: chain.bases, remove: [], hold });
  const [unreadable] = chain.unreadable;
  if (unreadable !== undefined)
    return nothing(
      `the document of base ${unreadable.id} cannot be read, and what it needs is not known: ${unreadable.reason}`,
    );
  const foreign = [...chain.bases, ...chain.unsigned.map(({ document }) => document)].find(
    (base) => base.instance !== instance,
  );
  if (foreign !== undefined) return nothing(`base ${foreign.id} is of '${foreign.instance}'`);
  // Newest first, as the chain has them.
  const usable = chain.bases.filter(
    (base) => followBase(base, { wal: chain.wal, lineages }).reaches >= parseLsn(base.endLsn),
  );
  const firstOld = usable.findIndex(({ endedAt }) => endedAt <= since);
  if (firstOld === -1) return nothing(null);
  const needed = usable.slice(0, firstOld + 1);
  const begin = needed.map((base) => parseLsn(base.startLsn)).reduce((a, b) => (a < b ? a : b));
  const keep = chain.bases.filter((base) => needed.includes(base) || parseLsn(base.startLsn) >= begin);
  const from = keep.map(({ startSegment }) => startSegment.slice(8)).toSorted()[0] ?? '';
  const old = chain.bases.filter((base) => !keep.includes(base));
  return {
    keep,
    remove: [
      ...old.flatMap((base) => keysOf(base, { place, chain })),
      ...chain.wal.filter(({ segment }) => segment.slice(8) < from).map(({ key }) => key),
      ...chain.walSignatures.filter(({ segment }) => segment !== null && segment.slice(8) < from).map(({ key }) => key),
    ],
    hold: null,
  };
}

/** Everything of a server that is no more, when nobody wants any moment of it; nothing, when somebody may. */
export function planEndedChain(
  chain: Stored & Pick<Chain, 'histories'>,
  { place, instance, since }: { readonly place: ChainPlace; readonly instance: string; readonly since: Date },
): readonly ObjectKey[] {
  const isOurs =
    chain.bases.length > 0 &&
    chain.bases.every((base) => base.instance === instance) &&
    chain.unreadable.length + chain.damaged.length + chain.unsigned.length + chain.unsignedWal.length === 0;
  const isOver =
    chain.bases.every(({ endedAt }) => endedAt < since) && chain.wal.every(({ modifiedAt }) => modifiedAt < since);
  if (!isOurs || !isOver) return [];
  return [
    ...chain.bases.flatMap((base) => keysOf(base, { place, chain })),
    ...chain.wal.map(({ key }) => key),
    ...chain.walSignatures.map(({ key }) => key),
    ...chain.histories.map(({ key }) => key),
  ];
}

function keysOf(
  base: BaseDocument,
  { place, chain }: { readonly place: ChainPlace; readonly chain: Pick<Chain, 'signatures'> },
): readonly ObjectKey[] {
  const signatures = chain.signatures.filter(({ id }) => id === base.id).map(({ key }) => key);
  return [baseDocumentKey(place, base.id), ...signatures, baseKey(place, base.tar.name)];
}
