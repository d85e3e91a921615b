// Telegram's sendMessage (Bot API): plain text, at most 4096 characters.

import type { MessageSettings } from '../config/messages.ts';
import { shorten } from '../text/shorten.ts';
import { DeliveryError, type Channel } from './channel.ts';
import { postJson } from './http-request.ts';

const longestText = 4_096;

/** A chat that a bot writes to, or a topic in it; `baseUrl` is Telegram's own unless a test says otherwise. */
export function createTelegram({
  botToken,
  chatId,
  threadId,
  baseUrl = 'https://api.telegram.org',
}: NonNullable<MessageSettings['telegram']> & { readonly baseUrl?: string }): Channel {
  const call = async (method: string, options: { readonly body: object; readonly signal: AbortSignal }) => {
    try {
      return await postJson(`${baseUrl}/bot${botToken}/${method}`, options);
    } catch (error) {
      throw error instanceof DeliveryError ? explained(error) : error;
    }
  };
  return {
    name: 'Telegram',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      await call('sendMessage', {
        body: {
          chat_id: chatId,
          ...(threadId === null ? {} : { message_thread_id: threadId }),
          text: shorten(`${message.title}\n\n${message.text}`, longestText),
          link_preview_options: { is_disabled: true },
          disable_notification: message.severity === 'info',
        },
        signal,
      });
    },
    async examine({ signal }) {
      const { text } = await call('getMe', { body: {}, signal });
      const name = /"username"\s*:\s*"([^"]+)"/.exec(text)?.[1];
      await call('getChat', { body: { chat_id: chatId }, signal });
      return `the bot${name === undefined ? '' : ` @${name}`} sees the chat`;
    },
  };
}

// Telegram's words are a programmer's.
const remedies: readonly (readonly [RegExp, string])[] = [
  [/chat not found/i, 'write to the bot once, or add it to the group, and check BACKUP_TELEGRAM_CHAT_ID'],
  [/upgraded to a supergroup/i, "the group has a new number, which starts with '-100': set BACKUP_TELEGRAM_CHAT_ID"],
  [/thread not found/i, 'there is no such topic: check BACKUP_TELEGRAM_THREAD_ID'],
  [/bot was (?:blocked|kicked)/i, 'let the bot in again'],
];

function explained(error: DeliveryError): DeliveryError {
  const remedy = remedies.find(([pattern]) => pattern.test(error.message))?.[1];
  if (remedy === undefined) return error;
  return new DeliveryError(`${error.message}; ${remedy}`, error);
}
