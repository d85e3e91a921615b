// What is remembered of base backups and of the log that is followed: how far it is stored, what the server keeps for us, and
// what of the past can be had. Health, metrics and the status page tell it from here, and ask neither server nor store.

import * as v from 'valibot';
import { count, list, record, time as instant } from '../text/document.ts';

const lsn = v.pipe(v.string(), v.regex(/^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/));

const followingRecord = record({
  at: instant,
  systemIdentifier: v.string(),
  timeline: count,
  /** From here on there is no hole in what is stored. */
  followsFrom: lsn,
  storedTo: lsn,
  /** By the server's clock: everything that it wrote until then is stored; null: not known yet. */
  coveredAt: v.nullable(instant),
  /** How much the server has written that is not stored; null: not known. */
  behindBytes: v.nullable(count),
  slot: v.nullable(
    record({
      name: v.string(),
      /** `reserved`, `extended`, `unreserved` or `lost`. */
      status: v.string(),
      keptBytes: v.nullable(count),
      limitBytes: v.nullable(count),
    }),
  ),
  /** Why there is no slot; null: there is one, or nobody has looked. */
  withoutSlot: v.nullable(v.string()),
  /** Why the history of its timeline is not stored; null or left out by an older version: it is. */
  historyProblem: v.exactOptional(v.nullable(v.string())),
  problem: v.nullable(v.string()),
});

/** How the log of the server is followed. */
export type FollowingRecord = v.InferOutput<typeof followingRecord>;

const baseRecord = record({
  id: v.string(),
  systemIdentifier: v.string(),
  timeline: count,
  startLsn: lsn,
  startedAt: instant,
  endedAt: instant,
  bytes: count,
});

/** The newest base backup. */
export type BaseRecord = v.InferOutput<typeof baseRecord>;

/** What of the past can be had. */
const windowRecord = record({
  at: instant,
  systemIdentifier: v.string(),
  /** Every moment from here to the newest that is stored can be had; null: none can. */
  from: v.nullable(instant),
  gaps: list(v.string()),
  /** What keeps old base backups and log from being removed; null or left out by an older version: nothing. */
  retentionProblem: v.exactOptional(v.nullable(v.string())),
  bases: count,
  bytes: count,
});

/** What a file of it must be to be believed. */
export const pitrRecord = record({
  /** When the log was first followed. */
  since: instant,
  following: v.nullable(followingRecord),
  /** Why it could not be followed since the daemon started; null or left out: it was, or nobody has tried. */
  obstacle: v.exactOptional(v.nullable(v.string())),
  base: v.nullable(baseRecord),
  window: v.nullable(windowRecord),
  /** How the newest moment was last drilled; left out by an older version. */
  drill: v.exactOptional(
    v.nullable(
      record({
        at: instant,
        status: v.picklist(['passed', 'failed', 'incomplete', 'skipped']),
        durationMs: v.nullable(count),
        findings: list(v.string()),
      }),
    ),
  ),
});

/** What is remembered of base backups and log. */
export type PitrRecord = v.InferOutput<typeof pitrRecord>;
