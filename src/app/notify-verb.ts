// `notify test`: one message by each channel, or by one of them, so that whether messages arrive is known before they matter.

import { AppError } from '../errors.ts';
import type { ChannelOutcome } from '../notify/notifier.ts';
import type { AppContext } from './context.ts';

/** Which channels are tested. */
export interface NotifyTestRequest {
  /** Null: all of them. */
  readonly channel: string | null;
  readonly signal: AbortSignal;
}

/** Sends it. @throws AppError `settings` when no channel is set, `usage` when the one that is named is not. */
export async function notifyTest(
  context: AppContext,
  { channel, signal }: NotifyTestRequest,
): Promise<readonly ChannelOutcome[]> {
  const names = context.channels().map(({ name }) => name);
  if (names.length === 0) {
    throw new AppError('settings', 'No channel is set, so nobody is told when backups fail', {
      hint: 'Set one in .env.backup, such as BACKUP_EMAIL_TO or BACKUP_NTFY_URL.',
    });
  }
  const only = channel === null ? undefined : names.find((name) => plain(name) === plain(channel));
  if (channel !== null && only === undefined) {
    throw new AppError('usage', `There is no channel '${channel}' in the settings`, {
      hint: `Write one of: ${names.join(', ')}.`,
    });
  }
  const outcomes = await context.tell({ kind: 'test' }, signal, only === undefined ? {} : { only });
  signal.throwIfAborted();
  return outcomes ?? [];
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll('-', '');
}
