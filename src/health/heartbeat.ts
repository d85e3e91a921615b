// Whether the daemon lives, by its last sign of life. One that is dated ahead, by a clock that was put right since, is none: a
// daemon that died under the wrong clock would be called alive for as long as that clock was ahead.

import { futureToleranceMs } from '../schedule/due.ts';
import type { HeartbeatRecord } from '../state/records.ts';
import { formatSpan } from '../text/format.ts';

/** A daemon that has said nothing for so long, in milliseconds, is not working; it does so several times a minute. */
const limitMs = 5 * 60_000;

/** Since when a daemon is silent, such as `for 3 h`; null: it is not, or there never was one. */
export function describeSilence(heartbeat: Pick<HeartbeatRecord, 'at'> | null, now: Date): string | null {
  if (heartbeat === null) return null;
  const silentMs = now.getTime() - Date.parse(heartbeat.at);
  if (silentMs > limitMs) return `for ${formatSpan(silentMs)}`;
  return silentMs < -futureToleranceMs ? 'since the clock was set back' : null;
}
