// `pitr status`: how the log is followed, what the server keeps for us, from when until when every moment can be had, and what is
// missing, from what is remembered and from the store; the server is not asked.

import { listChains } from '../snapshots/chain-catalogue.ts';
import type { FollowingRecord } from '../state/pitr-record.ts';
import { readKnownChain, unsignedOf } from './chain-keeping.ts';
import type { AppContext } from './context.ts';

/** What is stored of a server. */
export interface ChainStatus {
  readonly systemIdentifier: string;
  /** Whether its log is followed now. */
  readonly isFollowed: boolean;
  /** Every moment from here to `restorableTo` can be had; null: none can. */
  readonly restorableFrom: string | null;
  /** Null: not known; `--at latest` says it. */
  readonly restorableTo: string | null;
  readonly bases: readonly {
    readonly id: string;
    readonly endedAt: string;
    readonly bytes: number;
    readonly serverVersion: string;
  }[];
  readonly segments: number;
  readonly bytes: number;
  /** What is missing, a line each. */
  readonly gaps: readonly string[];
  /** Base backups that count for nothing, with the reason. */
  readonly damaged: readonly { readonly id: string; readonly reason: string }[];
}

/** The answer of `pitr status`. */
export interface PitrStatus {
  readonly isOn: boolean;
  readonly place: string;
  /** Null: no log was followed from here yet. */
  readonly following: (FollowingRecord & { readonly lagSeconds: number | null }) | null;
  /** Why it could not be followed since the daemon started; null: it was, or nobody has tried. */
  readonly obstacle: string | null;
  /** The server with the newest base backup, of which `restore --at` and drills are; null: no base counts. */
  readonly latest: string | null;
  /** The server that is followed first, then those with the newest base first. */
  readonly chains: readonly ChainStatus[];
}

/** Asks. */
export async function pitrStatus(context: AppContext, signal: AbortSignal): Promise<PitrStatus> {
  const { settings } = context.load();
  const repository = await context.storeToRead(null);
  const record = await context.state().readPitr();
  const following = record?.following ?? null;
  const chains: ChainStatus[] = [];
  for (const systemIdentifier of await listChains(repository, { signal })) {
    const { chain, window } = await readKnownChain(context, { systemIdentifier, signal });
    const isFollowed = following?.systemIdentifier === systemIdentifier;
    chains.push({
      systemIdentifier,
      isFollowed,
      restorableFrom: window.first?.endedAt.toISOString() ?? null,
      restorableTo: isFollowed && window.first !== null ? following.coveredAt : null,
      bases: chain.bases.map(({ id, endedAt, tar, server }) => ({
        id,
        endedAt: endedAt.toISOString(),
        bytes: tar.bytes,
        serverVersion: server.version,
      })),
      segments: new Set(chain.wal.map(({ segment }) => segment)).size,
      bytes: chain.bytes,
      gaps: window.gaps,
      damaged: [...chain.damaged, ...chain.unreadable, ...unsignedOf(chain)],
    });
  }
  return {
    isOn: settings.pitr.isOn,
    place: repository.store.description,
    following: following === null ? null : { ...following, lagSeconds: lagOf(following, context.now()) },
    obstacle: record?.obstacle ?? null,
    latest:
      chains.filter(({ bases }) => bases.length > 0).toSorted((a, b) => (newest(a) < newest(b) ? 1 : -1))[0]
        ?.systemIdentifier ?? null,
    chains: chains.toSorted((a, b) => Number(b.isFollowed) - Number(a.isFollowed) || (newest(a) < newest(b) ? 1 : -1)),
  };
}

function newest({ bases }: ChainStatus): string {
  return bases[0]?.endedAt ?? '';
}

function lagOf({ coveredAt }: FollowingRecord, now: Date): number | null {
  return coveredAt === null ? null : Math.max(0, Math.round((now.getTime() - Date.parse(coveredAt)) / 1_000));
}
