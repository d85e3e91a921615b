// Telegram's sendMessage (Bot API): plain text, at most 4096 characters.

import type { Channel } from './channel.ts';
import { postJson, shorten } from './http-request.ts';

const longestText = 4_096;

/** A chat that a bot writes to; `baseUrl` is Telegram's own unless a test says otherwise. */
export function createTelegram({
  botToken,
  chatId,
  baseUrl = 'https://api.telegram.org',
}: {
  readonly botToken: string;
  readonly chatId: string;
  readonly baseUrl?: string;
}): Channel {
  return {
    name: 'Telegram',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      await postJson(`${baseUrl}/bot${botToken}/sendMessage`, {
        body: {
          chat_id: chatId,
          text: shorten(`${message.title}\n\n${message.text}`, longestText),
          link_preview_options: { is_disabled: true },
          disable_notification: message.severity === 'info',
        },
        signal,
      });
    },
  };
}
