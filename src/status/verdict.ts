// The verdict in words: whether one can sleep, and if not, why. The status alone is a word of ours; nobody should have to look up
// what "degraded" means at three in the morning.

import type { HealthStatus } from '../health/assess.ts';
import { describeSilence } from '../health/heartbeat.ts';
import { withoutFuture } from '../schedule/due.ts';
import type { Waiting } from '../state/records.ts';
import { formatSpan } from '../text/format.ts';
import { formatAge } from '../text/moment.ts';
import type { Collection } from './collection.ts';
import type { StatusFacts } from './status.ts';

/** How it stands, for people. */
export interface Verdict {
  readonly status: HealthStatus;
  readonly healthy: boolean;
  /** A few words, such as `The daily backup is late`. */
  readonly headline: string;
  /** A sentence or two. */
  readonly detail: string;
}

/** A sign that says the same as the colour. */
export const symbols: Readonly<Record<HealthStatus, string>> = {
  starting: '…',
  healthy: '✓',
  degraded: '!',
  late: '✕',
  failed: '✕',
};

/** Puts the health into words. */
export function pronounce(
  facts: Pick<StatusFacts, 'health' | 'attempts' | 'heartbeat' | 'next' | 'now'> & Pick<Collection, 'present'>,
): Verdict {
  const { status, healthy } = facts.health;
  return { status, healthy, ...words(facts) };
}

function words(facts: Parameters<typeof pronounce>[0]): Pick<Verdict, 'headline' | 'detail'> {
  const { health, heartbeat, now } = facts;
  const newest = describeNewest(facts);
  switch (health.status) {
    case 'starting':
      return { headline: 'There is no backup yet', detail: describeFirst(facts) };
    case 'healthy':
      return { headline: 'All is backed up', detail: newest };
    case 'degraded':
      return {
        headline: 'Backed up, but look at this',
        detail: newest,
      };
    case 'late': {
      if (withoutFuture(facts.present, now).length === 0)
        return {
          headline: 'There is no backup',
          detail: `${Object.keys(facts.attempts.failures).some((of) => of !== 'drill' && of !== 'base') ? 'What was tried has failed' : 'What was stored is missing'}; see why below. ${describeNext(facts)}`,
        };
      const late = Object.entries(health.tiers).filter(
        ([, { deadlineAt }]) => deadlineAt !== null && Date.parse(deadlineAt) <= now.getTime(),
      );
      const names = late.map(([tier]) => tier);
      if (names.length === 0)
        return {
          headline: 'The write-ahead log is not stored',
          detail: `What is written now could be lost. ${newest}`,
        };
      const headline =
        names.length === 1
          ? `The ${names[0]} backup is late`
          : `The ${names.slice(0, -1).join(', ')} and ${names.at(-1)} backups are late`;
      return { headline, detail: newest };
    }
    case 'failed': {
      const silence = describeSilence(heartbeat, now);
      if (silence !== null)
        return {
          headline: 'The backup service is silent',
          detail:
            `It has given no sign of life ${silence}: nothing is backed up by itself. ${describeAge(facts)}`.trimEnd(),
        };
      return {
        headline: 'The newest backup failed its restore drill',
        detail: 'Do not rely on it: see below what was found, and take a new one when that is mended.',
      };
    }
    default:
      return health.status satisfies never;
  }
}

// What becomes of the first backup, as the daemon says it; without one nobody makes it.
function describeFirst(facts: Parameters<typeof pronounce>[0]): string {
  const { attempts, heartbeat, now } = facts;
  if (attempts.running !== null) return 'The first one is being made now.';
  if (heartbeat === null)
    return 'No daemon has run here yet: start it, or take the first one with: mastodon-backup run.';
  const waiting = waitingOf(facts);
  if (waiting === null) return 'The daemon takes the first one at once.';
  const soon = soonAfter(waiting, now);
  switch (waiting.for) {
    case 'database':
      return `The daemon waits for the database; it takes the first one as soon as that answers, and tries it ${soon} in any case.`;
    case 'destinations':
      return `Or nobody can say: what is stored cannot be read. It is looked at again ${soon}.`;
    case 'patience':
      return `It is tried again ${soon}.`;
    default:
      return waiting.for satisfies never;
  }
}

function describeNewest(facts: Parameters<typeof pronounce>[0]): string {
  return `${describeAge(facts)} ${describeNext(facts)}`.trimStart();
}

function describeAge({ present, now }: Parameters<typeof pronounce>[0]): string {
  const newest = present.find(({ dataAt }) => dataAt <= now);
  return newest === undefined ? '' : `The newest is from ${formatAge(newest.dataAt, now)}.`;
}

// When the next backup begins, or what it waits for.
function describeNext(facts: Parameters<typeof pronounce>[0]): string {
  const { next, attempts, now } = facts;
  const waiting = attempts.running === null ? waitingOf(facts) : null;
  if (waiting?.for === 'database') return 'The next waits for the database.';
  if (waiting?.for === 'destinations') return `The destinations are looked at again ${soonAfter(waiting, now)}.`;
  if (waiting?.for === 'patience') return `The next is tried ${soonAfter(waiting, now)}.`;
  const backups = next
    .filter(({ schedule }) => schedule !== 'drill')
    .toSorted((a, b) => a.at.getTime() - b.at.getTime());
  return backups[0] === undefined
    ? 'No next one is scheduled.'
    : `The next begins in ${formatSpan(Math.max(0, backups[0].at.getTime() - now.getTime()))}.`;
}

// A daemon that is silent waits for nothing any more.
function waitingOf({ heartbeat, now }: Parameters<typeof pronounce>[0]): Waiting {
  return describeSilence(heartbeat, now) === null ? (heartbeat?.waiting ?? null) : null;
}

function soonAfter({ until }: NonNullable<Waiting>, now: Date): string {
  const leftMs = Date.parse(until) - now.getTime();
  return leftMs <= 0 ? 'at any moment' : `in ${formatSpan(leftMs)}`;
}
