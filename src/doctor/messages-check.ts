// Whether anybody would hear of it when backups fail: each channel is asked what can be asked without sending a message. One that
// was mistyped on the first day would otherwise be found out on the day that it is needed.

import type { SettingProblem } from '../config/problem.ts';
import { describeError } from '../errors.ts';
import type { Channel } from '../notify/channel.ts';
import { formatSpan } from '../text/format.ts';
import { fine, type Examination, type Finding } from './finding.ts';

const check = 'messages';
/** Long enough for a mail server's greeting, short enough for a doctor that one waits for. */
const patienceMs = 4_000;

/** A finding for each channel that is set, and one when there is none. */
export async function examineMessages(examination: Examination): Promise<readonly Finding[]> {
  const { channels, channelProblems, redact } = examination;
  if (channels.length === 0 && channelProblems.length === 0) {
    return [
      {
        check,
        status: 'warning',
        detail: 'nobody is told when backups fail: no channel is set',
        remedy: "Set one, such as BACKUP_EMAIL_TO, and BACKUP_PING_URL, a dead man's switch.",
      },
    ];
  }
  const asked = await Promise.all(channels.map(async (channel) => examineChannel(channel, examination)));
  return asked.map((finding) => ({ ...finding, detail: redact(finding.detail) }));
}

/** What is wrong with the setting of a channel. */
export function channelFinding({ variable, problem, remedy }: SettingProblem): Finding {
  return {
    check: 'settings',
    status: 'problem',
    detail: `${variable}: ${problem}; backups go on without it`,
    remedy: `${remedy}.`,
  };
}

async function examineChannel(channel: Channel, { signal }: Pick<Examination, 'signal'>): Promise<Finding> {
  if (channel.examine === undefined) {
    return fine(
      check,
      `${channel.name}: set; it cannot be asked without sending a message: mastodon-backup notify test`,
    );
  }
  const limit = AbortSignal.timeout(patienceMs);
  try {
    const found = await channel.examine({ signal: AbortSignal.any([signal, limit]) });
    return { check, status: 'ok', detail: `${channel.name}: ${found}`, remedy: null };
  } catch (error) {
    const reason = limit.aborted ? `no answer within ${formatSpan(patienceMs)}` : describeError(error);
    return {
      check,
      status: 'problem',
      detail: `${channel.name} would not work: ${reason}`,
      remedy: 'Mend it, then see whether a message arrives: mastodon-backup notify test',
    };
  }
}
