// What is remembered between commands: a cache of what the stores hold, how the last attempts ended, what was in the last year,
// and the daemon's heartbeat. All of it can be lost: the stores' manifests are the truth, and the daemon reads them again. The
// schemas are what a file must be to be believed; half a record would make health say what nobody knows.

import * as v from 'valibot';
import { byName, count, instant as moment, list, time as instant } from '../text/document.ts';
import { pitrRecord, type PitrRecord } from './pitr-record.ts';

// What a newer version added is forgotten: what is remembered here is remembered again.
function object<const Entries extends v.ObjectEntries>(entries: Entries) {
  return v.pipe(v.object(entries), v.readonly());
}

const snapshotEntries = {
  id: v.string(),
  tier: v.string(),
  dataAt: moment,
  slot: v.nullable(moment),
  committedAt: moment,
  /** When the run began. */
  startedAt: moment,
  dumpBytes: count,
  objectBytes: count,
  copiedFrom: v.nullable(v.string()),
  /** What a person called it; left out by an older version. */
  label: v.exactOptional(v.nullable(v.string())),
  /** Size of the database it was taken of; left out by an older version. */
  databaseBytes: v.exactOptional(count),
  /** Whether it is kept out of retention; left out: it is not. */
  pinned: v.exactOptional(v.boolean()),
} as const;

const snapshotRecord = object(snapshotEntries);

/** A committed snapshot, as far as health, messages and metrics look at it. */
export type SnapshotRecord = v.InferOutput<typeof snapshotRecord>;

const missingRecord = object({
  ...snapshotEntries,
  /** What is in its place, such as `it is not signed`; left out: nothing. */
  reason: v.exactOptional(v.string()),
});

/** A snapshot that should be there, and is not. */
export type MissingRecord = v.InferOutput<typeof missingRecord>;

const withheldRecord = object({
  ...snapshotEntries,
  /** Since when it is so. */
  since: instant,
  /** Why the store does not give it; left out: it is damaged. */
  reason: v.exactOptional(v.string()),
});

/** A snapshot that counted, is there, and cannot be counted now; nor has anybody seen something else in its place. */
export type WithheldRecord = v.InferOutput<typeof withheldRecord>;

const storeRecord = object({
  name: v.string(),
  description: v.string(),
  /** When it was last read with success, by the moment the reading began; null: never. */
  readAt: v.nullable(instant),
  /** Why the last reading failed; null: it did not. */
  error: v.nullable(v.string()),
  /** The instance's snapshots, newest first. */
  snapshots: list(snapshotRecord),
  damagedCount: count,
  unreadableCount: count,
  /** How much of it is shown apart from the snapshots, by what it is; left out by an older version. */
  apart: v.exactOptional(byName(count)),
  /** The folder in it that was read; left out by an older version. */
  prefix: v.exactOptional(v.string()),
  /** The id in its marker; null: it had none. Left out by an older version. */
  placeId: v.exactOptional(v.nullable(v.string())),
  /** What it was known to hold, should hold, and does not; left out when there is nothing. */
  missing: v.exactOptional(list(missingRecord)),
  /** What it was known to hold and is damaged, or not given: neither counted nor missing. Left out when there is nothing. */
  withheld: v.exactOptional(list(withheldRecord)),
  /** Fingerprints of the keys that were trusted when it was read; left out by an older version. */
  trusted: v.exactOptional(list(v.string())),
  /** Whether it is another place than was known, for which `error` has the words. */
  strange: v.exactOptional(v.boolean()),
});

/** What one store held when it was last read. */
export type StoreRecord = v.InferOutput<typeof storeRecord>;

const storesRecord = object({ instance: v.string(), stores: list(storeRecord) });

/** The cache of the stores. */
export type StoresRecord = v.InferOutput<typeof storesRecord>;

const failureRecord = object({
  at: instant,
  /** The code of the error, such as `dump` or `store`. */
  step: v.string(),
  message: v.string(),
  hint: v.nullable(v.string()),
  /** The table at which the database server broke off, last or before it could be reached again. */
  brokeOffAt: v.exactOptional(v.string()),
  /** People were to be told of it, and nobody is known to have been reached. */
  isUntold: v.exactOptional(v.boolean()),
});

/** Why an attempt failed. */
export type FailureRecord = v.InferOutput<typeof failureRecord>;

const drillRecord = object({
  at: instant,
  status: v.picklist(['passed', 'failed', 'incomplete', 'skipped']),
  /** `<tier>/<id>`; null: there was none. */
  snapshot: v.nullable(v.string()),
  durationMs: v.nullable(v.number()),
  /** Whether the snapshot was the newest when it was drilled. */
  ofNewest: v.boolean(),
  lastSuccessAt: v.nullable(instant),
  findings: list(v.string()),
});

const upgradeRecord = object({
  /** `host:port` of the new server. */
  to: v.string(),
  /** System identifiers of the old and the new server. */
  from: v.nullable(v.string()),
  into: v.nullable(v.string()),
  serverVersion: v.string(),
  /** How long the newest snapshot took to restore there in a rehearsal, in milliseconds. */
  rehearsal: v.nullable(object({ at: instant, snapshot: v.string(), durationMs: count })),
  /** The last dump, and what had been written by then. */
  dump: v.nullable(object({ at: instant, snapshot: v.string(), writes: v.string() })),
  /** The database that it was restored into, by its object identifier there. */
  restored: v.nullable(object({ at: instant, snapshot: v.string(), databaseId: v.string() })),
  /** One that is being filled, and gets the database's name when it is whole. */
  restoring: v.optional(v.nullable(object({ at: instant, snapshot: v.string(), databaseId: v.string() })), null),
  /** When both servers were found to be the same. */
  comparedAt: v.nullable(instant),
});

/** How far an upgrade of the server has come. */
export type UpgradeRecord = v.InferOutput<typeof upgradeRecord>;

/** How the last drill ended. */
export type DrillRecord = v.InferOutput<typeof drillRecord>;

// What an older version did not write yet is as nothing.
const attemptsRecord = object({
  /** The run that goes on now; left behind by one that was cut off. */
  running: v.optional(v.nullable(object({ command: v.string(), tier: v.string(), since: instant })), null),
  /** The drill that goes on now, beside a run; left behind by one that was cut off. */
  drilling: v.optional(v.nullable(object({ snapshot: v.string(), since: instant })), null),
  /** How many drills in a row could not be carried out. */
  drillSetbacks: v.optional(count, 0),
  /** The last failure by tier, until the tier's next success. */
  failures: v.optional(byName(failureRecord), {}),
  /** How often attempts failed, by tier and step, since the state directory was made. */
  failureCounts: v.optional(byName(count), {}),
  /** A destination that missed the last run while another took it. */
  destinationFailures: v.optional(list(object({ place: v.string(), failure: failureRecord })), []),
  prune: v.optional(v.nullable(object({ at: instant, problem: v.nullable(v.string()), removedCount: count })), null),
  channels: v.optional(list(object({ channel: v.string(), error: v.nullable(v.string()), at: instant })), []),
  /** How hooks took it the last time, by the name of their setting. */
  hooks: v.optional(list(object({ hook: v.string(), error: v.nullable(v.string()), at: instant })), []),
  drill: v.optional(v.nullable(drillRecord), null),
  /** An upgrade of the server; null: none was begun. */
  upgrade: v.optional(v.nullable(upgradeRecord), null),
  /** Snapshots that were made here, the newest last: id, blank, SHA-256 of the dump's object. */
  madeHere: v.optional(list(v.string()), []),
  /** How the last backup that was made here was stored; null: none was, or it is not remembered. */
  encryption: v.optional(v.nullable(v.picklist(['age', 'none'])), null),
  /** System identifiers of earlier servers that `prune --accept-new-server` accepted. */
  acceptedServers: v.optional(list(v.string()), []),
  /** What was to travel with the last backup and did not. */
  leftOut: v.optional(list(v.string()), []),
  /** What the last run warned of. */
  warnings: v.optional(list(v.string()), []),
});

/** How attempts ended, by hand and by the clock. */
export type AttemptsRecord = v.InferOutput<typeof attemptsRecord>;

const pastFailure = object({ tier: v.string(), at: instant, step: v.string(), message: v.string() });

/** An attempt that failed, long ago perhaps. */
export type PastFailure = v.InferOutput<typeof pastFailure>;

const historyRecord = object({
  /** From when on everything that happened is in it; of the time before, what the stores still hold. */
  since: instant,
  /** Snapshots that were made, also those that are gone, newest first. */
  runs: list(snapshotRecord),
  /** Newest first. */
  failures: list(pastFailure),
});

/** What was in the last year or so. */
export type HistoryRecord = v.InferOutput<typeof historyRecord>;

const drillReport = object({
  id: v.string(),
  snapshot: v.string(),
  dataAt: instant,
  startedAt: instant,
  endedAt: instant,
  status: v.picklist(['passed', 'failed', 'incomplete', 'skipped']),
  durationMs: v.nullable(v.number()),
  serverVersion: v.nullable(v.string()),
  checks: list(
    object({
      check: v.string(),
      status: v.picklist(['ok', 'failed', 'note']),
      detail: v.string(),
      remedy: v.nullable(v.string()),
    }),
  ),
});

/** What a drill found, as it is stored beside the snapshots. */
export type DrillReport = v.InferOutput<typeof drillReport>;

const drillsRecord = object({
  /** Newest first. */
  reports: list(drillReport),
  /** Whether those that are stored have been read. */
  isWhole: v.boolean(),
});

/** What the last drills found. */
export type DrillsRecord = v.InferOutput<typeof drillsRecord>;

const pace = object({
  at: instant,
  step: v.picklist(['dump', 'verify', 'restore']),
  bytes: count,
  expectedBytes: v.nullable(count),
});

const progressRecord = object({ run: v.nullable(pace), drill: v.nullable(pace) });

/** How far what goes on now has come, a few seconds ago. */
export type ProgressRecord = v.InferOutput<typeof progressRecord>;

const heartbeatRecord = object({
  at: instant,
  startedAt: instant,
  processId: v.number(),
  /** What the daemon cannot do at the moment, such as reaching the bucket. */
  troubles: list(v.string()),
  /** What keeps the next backup from beginning; null: nothing but its time. Left out by an older version. */
  waiting: v.exactOptional(
    v.nullable(
      object({
        /** For the database to answer, for a destination to say what is due, or after a failed run. */
        for: v.picklist(['database', 'destinations', 'patience']),
        /** When it is tried all the same. */
        until: instant,
      }),
    ),
  ),
});

/** The daemon's sign of life. */
export type HeartbeatRecord = v.InferOutput<typeof heartbeatRecord>;

/** Why the daemon's next backup has yet to begin; null: for nothing but its time. */
export type Waiting = NonNullable<HeartbeatRecord['waiting']> | null;

/** All that is remembered, by the name of its file. */
export interface Records {
  readonly stores: StoresRecord;
  readonly attempts: AttemptsRecord;
  readonly heartbeat: HeartbeatRecord;
  readonly history: HistoryRecord;
  readonly drills: DrillsRecord;
  readonly progress: ProgressRecord;
  readonly pitr: PitrRecord;
}

const schemas = {
  stores: storesRecord,
  attempts: attemptsRecord,
  heartbeat: heartbeatRecord,
  history: historyRecord,
  drills: drillsRecord,
  progress: progressRecord,
  pitr: pitrRecord,
} as const satisfies Record<keyof Records, v.GenericSchema>;

/** The names of all records. */
export const recordNames = Object.keys(schemas) as readonly (keyof Records)[];

/** Nothing remembered. */
export const noAttempts: AttemptsRecord = v.parse(attemptsRecord, {});

/** The files' format; another one counts as not there. */
const format = 1;

const document = v.object({ format: v.literal(format), writtenAt: instant, instance: v.string(), record: v.unknown() });

/** A record of `instance` as it is written to a file. */
export function encodeRecord(
  record: Records[keyof Records],
  { instance, writtenAt }: { readonly instance: string; readonly writtenAt: Date },
): string {
  return JSON.stringify({ format, writtenAt: writtenAt.toISOString(), instance, record });
}

/** A file's record and when it was written; null: it is damaged, of another format or of another instance. Never throws. */
export function decodeRecord<Name extends keyof Records>(
  text: string,
  { name, instance }: { readonly name: Name; readonly instance: string },
): { readonly record: Records[Name]; readonly writtenAt: string } | null {
  try {
    const { record, writtenAt, instance: owner } = v.parse(document, JSON.parse(text));
    if (owner !== instance) return null;
    return { record: v.parse(schemas[name], record) as Records[Name], writtenAt };
  } catch {
    return null;
  }
}
