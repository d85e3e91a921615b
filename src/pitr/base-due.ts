// Why a base backup has to be made now: by its schedule, and at once where the last one leads nowhere any more, such as after a
// promotion, a lost slot or a move to another server. Without that a hole would last until the next Monday.

import { lastOccurrence } from '../config/cron-pattern.ts';
import type { BaseRecord, FollowingRecord } from '../state/pitr-record.ts';
import { parseLsn } from './lsn.ts';

/** The reason; null: there is none yet. */
export function whyBaseIsDue(options: {
  /** Null: no log is followed, and a base without log is none. */
  readonly following: FollowingRecord | null;
  readonly base: BaseRecord | null;
  /** Cron pattern; null: off. */
  readonly schedule: string | null;
  readonly timeZone: string;
  readonly now: Date;
}): string | null {
  const { following, base, schedule, timeZone, now } = options;
  if (following === null) return null;
  if (base === null) return 'there is none of this server yet';
  if (base.systemIdentifier !== following.systemIdentifier) return 'another server answers';
  if (base.timeline !== following.timeline) return `the server is on timeline ${following.timeline} now`;
  if (parseLsn(base.startLsn) < parseLsn(following.followsFrom)) return 'the log behind the last one has a hole';
  const slot = schedule === null ? null : lastOccurrence(schedule, { timeZone, at: now });
  return slot !== null && slot.getTime() > Date.parse(base.startedAt) ? 'its time has come' : null;
}
