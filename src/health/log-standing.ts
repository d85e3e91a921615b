// Whether every moment of the last minutes could be had back: by the server's clock when it last had nothing that is not stored,
// not by whether something runs. Pure, as all of health.

import type { HeartbeatRecord } from '../state/records.ts';
import type { PitrRecord } from '../state/pitr-record.ts';
import { formatBytes, formatSpan } from '../text/format.ts';

/** Point-in-time recovery in the health document. Times are ISO 8601. */
export interface PitrHealth {
  /** Every moment from here to `restorableTo` can be had; null: none can. */
  readonly restorableFrom: string | null;
  readonly restorableTo: string | null;
  /** How far what is stored is behind now; null: nothing is stored. */
  readonly lagSeconds: number | null;
  /** `reserved`, `extended`, `unreserved` or `lost`; null: there is none. */
  readonly slot: string | null;
  /** What the server keeps for us; null: not known. */
  readonly walKeptBytes: number | null;
}

/** How the log stands. */
export interface LogStanding {
  readonly document: PitrHealth;
  readonly status: 'healthy' | 'degraded' | 'late';
  readonly warnings: readonly string[];
}

const minuteMs = 60_000;
/** Behind for so long is worth a look, and so long is a failure. */
const degradedAfterMs = 5 * minuteMs;
const lateAfterMs = 30 * minuteMs;
/** From this share of its limit on a slot is worth a look. */
const fullShare = 0.5;

/** Assesses it; null: it is switched off, or nothing has been tried yet. */
export function assessLog(options: {
  readonly isOn: boolean;
  readonly pitr: PitrRecord | null;
  readonly heartbeat: Pick<HeartbeatRecord, 'startedAt'> | null;
  readonly now: Date;
}): LogStanding | null {
  const { isOn, pitr, heartbeat, now } = options;
  const begin = pitr?.since ?? heartbeat?.startedAt;
  if (!isOn || begin === undefined) return null;
  const following = pitr?.following ?? null;
  const coveredAt = following?.coveredAt ?? null;
  const behindMs = Math.max(0, now.getTime() - Date.parse(coveredAt ?? begin));
  const ageMs = now.getTime() - Date.parse(begin);
  const from = pitr?.window?.systemIdentifier === following?.systemIdentifier ? (pitr?.window?.from ?? null) : null;
  const slot = following?.slot ?? null;
  const { keptBytes = null, limitBytes = null } = slot ?? {};
  const isFilling = keptBytes !== null && limitBytes !== null && keptBytes > fullShare * limitBytes;
  const withoutSlot = following?.withoutSlot ?? null;
  const historyProblem = following?.historyProblem ?? null;
  const isBehind = behindMs > degradedAfterMs;
  const isWithoutBase = from === null && ageMs > degradedAfterMs;
  const problem = following?.problem ?? pitr?.obstacle ?? null;
  const hasFailed = pitr?.drill?.status === 'failed';
  const held = pitr?.window?.retentionProblem ?? null;
  const warnings = [
    ...(isBehind
      ? [
          `Of the write-ahead log nothing is stored for ${formatSpan(behindMs)}${problem === null ? '' : `: ${problem}`}`,
        ]
      : []),
    ...(isWithoutBase ? ['No moment can be had yet: there is no base backup of this server'] : []),
    ...(isFilling
      ? [`The server keeps ${formatBytes(keptBytes)} of its log for us, of at most ${formatBytes(limitBytes)}`]
      : []),
    ...(withoutSlot === null ? [] : [`The server keeps no log for us while we are away: ${withoutSlot}`]),
    ...(historyProblem === null ? [] : [historyProblem]),
    ...(hasFailed ? [`The last drill of the newest moment failed: ${pitr?.drill?.findings[0] ?? 'see the log'}`] : []),
    ...(held === null ? [] : [`Old base backups and log stay: ${held}`]),
    ...(pitr?.window?.gaps ?? []).map((gap) => `Not every moment can be had: ${gap}`),
  ];
  const isOdd =
    isBehind ||
    isWithoutBase ||
    isFilling ||
    withoutSlot !== null ||
    historyProblem !== null ||
    held !== null ||
    hasFailed;
  return {
    document: {
      restorableFrom: from,
      // A base that has just been made reaches to its own end.
      restorableTo: from === null ? null : coveredAt === null || coveredAt < from ? from : coveredAt,
      lagSeconds: coveredAt === null ? null : Math.round(behindMs / 1_000),
      slot: slot?.status ?? null,
      walKeptBytes: keptBytes,
    },
    status: behindMs > lateAfterMs ? 'late' : isOdd ? 'degraded' : 'healthy',
    warnings,
  };
}
