// Telegram's Bot API: getMe, getChat, sendMessage. https://core.telegram.org/bots/api

import { startProvider, type Provider } from './provider.ts';

/** A service that knows one bot, one chat and one topic. */
export async function startTelegram(known: {
  readonly token: string;
  readonly chat: string;
  readonly thread: number;
}): Promise<Provider> {
  const refuse = (status: number, description: string) => ({
    status,
    body: { ok: false, error_code: status, description },
  });
  return startProvider(({ path, body }) => {
    const [, token, method] = /^\/bot([^/]+)\/(\w+)$/.exec(path) ?? [];
    if (token !== known.token) return refuse(401, 'Unauthorized');
    if (method === 'getMe') return { status: 200, body: { ok: true, result: { id: 1, username: 'backup_bot' } } };
    const { chat_id, message_thread_id } = JSON.parse(body) as { chat_id: string; message_thread_id?: number };
    if (chat_id !== known.chat) return refuse(400, 'Bad Request: chat not found');
    if (method === 'getChat') return { status: 200, body: { ok: true, result: { id: 1 } } };
    if (message_thread_id !== undefined && message_thread_id !== known.thread)
      return refuse(400, 'Bad Request: message thread not found');
    return { status: 200, body: { ok: true, result: { message_id: 1 } } };
  });
}
