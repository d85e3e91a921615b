// What is remembered between commands: a cache of what the stores hold, how the last attempts ended, and the daemon's
// heartbeat. All of it can be lost: the stores' manifests are the truth, and the daemon reads them again.

/** A committed snapshot, as far as health, messages and metrics look at it. Times are ISO 8601. */
export interface SnapshotRecord {
  readonly id: string;
  readonly tier: string;
  readonly dataAt: string;
  readonly slot: string | null;
  readonly committedAt: string;
  /** When the run began. */
  readonly startedAt: string;
  readonly dumpBytes: number;
  readonly objectBytes: number;
  readonly copiedFrom: string | null;
}

/** What one store held when it was last read. */
export interface StoreRecord {
  readonly name: string;
  readonly description: string;
  /** When it was last read with success; null: never. */
  readonly readAt: string | null;
  /** Why the last reading failed; null: it did not. */
  readonly error: string | null;
  /** The instance's snapshots, newest first. */
  readonly snapshots: readonly SnapshotRecord[];
  readonly damagedCount: number;
  readonly unreadableCount: number;
}

/** The cache of the stores. */
export interface StoresRecord {
  readonly instance: string;
  readonly stores: readonly StoreRecord[];
}

/** Why an attempt failed. */
export interface FailureRecord {
  readonly at: string;
  /** The code of the error, such as `dump` or `store`. */
  readonly step: string;
  readonly message: string;
  readonly hint: string | null;
  /** The table at which the database server broke off, last or before it could be reached again. */
  readonly brokeOffAt?: string;
}

/** How the last drill ended. */
export interface DrillRecord {
  readonly at: string;
  readonly status: 'passed' | 'failed' | 'incomplete' | 'skipped';
  /** `<tier>/<id>`; null: there was none. */
  readonly snapshot: string | null;
  readonly durationMs: number | null;
  /** Whether the snapshot was the newest when it was drilled. */
  readonly ofNewest: boolean;
  readonly lastSuccessAt: string | null;
  readonly findings: readonly string[];
}

/** How attempts ended, by hand and by the clock. */
export interface AttemptsRecord {
  /** What runs now; left behind by a run that was cut off. */
  readonly running: { readonly command: string; readonly tier: string; readonly since: string } | null;
  /** The last failure by tier, until the tier's next success. */
  readonly failures: Readonly<Record<string, FailureRecord>>;
  /** How often attempts failed, by tier and step, since the state directory was made. */
  readonly failureCounts: Readonly<Record<string, number>>;
  /** A destination that missed the last run while another took it. */
  readonly destinationFailures: readonly { readonly place: string; readonly failure: FailureRecord }[];
  readonly prune: { readonly at: string; readonly problem: string | null; readonly removedCount: number } | null;
  readonly channels: readonly { readonly channel: string; readonly error: string | null; readonly at: string }[];
  readonly drill: DrillRecord | null;
  /** Ids of snapshots that were made here, the newest last. */
  readonly madeHere: readonly string[];
  /** System identifiers of earlier servers that `prune --accept-new-server` accepted. */
  readonly acceptedServers: readonly string[];
  /** What the last run warned of. */
  readonly warnings: readonly string[];
}

/** The daemon's sign of life. */
export interface HeartbeatRecord {
  readonly at: string;
  readonly startedAt: string;
  readonly processId: number;
  /** What the daemon cannot do at the moment, such as reaching the bucket. */
  readonly troubles: readonly string[];
}

/** Nothing remembered. */
export const noAttempts: AttemptsRecord = {
  running: null,
  failures: {},
  failureCounts: {},
  destinationFailures: [],
  prune: null,
  channels: [],
  drill: null,
  madeHere: [],
  acceptedServers: [],
  warnings: [],
};
