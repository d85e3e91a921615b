// What of the log that is followed a person is told, once each time it comes: what they can still do something about, and what
// is lost although nobody noticed.

import { parseLsn } from '../pitr/lsn.ts';
import type { FollowingRecord } from '../state/pitr-record.ts';
import { formatBytes } from '../text/format.ts';
import type { EventDetails } from './context.ts';

type Attention = Extract<EventDetails, { kind: 'attention' }>;

/** From this share of its limit on a slot is told of. */
const fullShare = 0.5;
const subject = 'point-in-time recovery';

/** What is new; `before` null: nothing was known. */
export function newsOfLog({
  before,
  now,
}: {
  readonly before: FollowingRecord | null;
  readonly now: FollowingRecord;
}): readonly Attention[] {
  const news: Attention[] = [];
  const say = (message: string, hint: string): void => void news.push({ kind: 'attention', subject, message, hint });
  if (isFilling(now) && !isFilling(before))
    say(
      `The server keeps ${formatBytes(now.slot?.keptBytes ?? 0)} of its log for us, of at most ${formatBytes(now.slot?.limitBytes ?? 0)}`,
      `Look at what keeps the log from being stored: mastodon-backup pitr status.${now.problem === null ? '' : ` It says: ${now.problem}`}`,
    );
  if (now.slot?.status === 'lost' && before?.slot?.status !== 'lost')
    say(
      'The server has given up what it kept for us: there is a gap in what can be had',
      'A new base backup is made as soon as the log is followed again; see: mastodon-backup pitr status.',
    );
  if (now.withoutSlot !== null && before?.withoutSlot !== now.withoutSlot)
    say(
      `The server keeps nothing for us while we are away: ${now.withoutSlot}`,
      "Let a superuser run: ALTER SYSTEM SET max_slot_wal_keep_size = '2GB'; SELECT pg_reload_conf().",
    );
  const historyProblem = now.historyProblem ?? null;
  if (historyProblem !== null && before?.historyProblem !== historyProblem)
    say(
      historyProblem,
      'Until then no moment from before the promotion leads across it. Make a base backup: mastodon-backup pitr base.',
    );
  const isSame = before?.systemIdentifier === now.systemIdentifier && before.timeline === now.timeline;
  if (isSame && parseLsn(now.followsFrom) > parseLsn(before.storedTo))
    say(
      `There is a gap in what can be had: the log between ${before.storedTo} and ${now.followsFrom} is not stored, and the server has it no more`,
      'A new base backup is made at once; see: mastodon-backup pitr status.',
    );
  return news;
}

function isFilling(following: FollowingRecord | null): boolean {
  const { keptBytes = null, limitBytes = null } = following?.slot ?? {};
  return keptBytes !== null && limitBytes !== null && keptBytes > fullShare * limitBytes;
}
