// Matrix: a text in a room, by the client-server API. The id of the transaction is made once for a message, so that one which
// was sent again after a lost answer stands in the room once.

import { randomUUID } from 'node:crypto';
import type { MessageSettings } from '../config/messages.ts';
import { shorten } from '../text/shorten.ts';
import { DeliveryError, type Channel, type Delivery } from './channel.ts';
import { postJson, request } from './http-request.ts';

/** An event may have 64 KiB in all. */
const longestText = 16_000;

/** A room of a homeserver. https://spec.matrix.org/latest/client-server-api/#sending-events-to-a-room */
export function createMatrix({ homeserver, room, token }: NonNullable<MessageSettings['matrix']>): Channel {
  const api = `${homeserver}/_matrix/client/v3`;
  const headers = { authorization: `Bearer ${token}` };
  const transactions = new WeakMap<Delivery, string>();
  return {
    name: 'Matrix',
    filtered: true,
    async deliver(delivery, { signal }) {
      const { message } = delivery;
      if (message === null) return;
      const roomId = room.startsWith('#') ? await resolve(api, { room, headers, signal }) : room;
      const transaction = transactions.get(delivery) ?? randomUUID();
      transactions.set(delivery, transaction);
      await postJson(`${api}/rooms/${encodeURIComponent(roomId)}/send/m.room.message/${transaction}`, {
        method: 'PUT',
        // Clients are quiet about a notice.
        body: {
          msgtype: message.severity === 'info' ? 'm.notice' : 'm.text',
          body: shorten(`${message.title}\n\n${message.text}`, longestText),
        },
        headers,
        signal,
      });
    },
    async examine({ signal }) {
      const { text } = await request(`${api}/account/whoami`, { method: 'GET', headers, signal });
      const user = fieldOf(text, 'user_id');
      if (room.startsWith('#')) await resolve(api, { room, headers, signal });
      return user === undefined ? 'the token is taken' : `the token is ${user}'s`;
    },
  };
}

async function resolve(
  api: string,
  {
    room,
    ...options
  }: { readonly room: string; readonly headers: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<string> {
  const { text } = await request(`${api}/directory/room/${encodeURIComponent(room)}`, { method: 'GET', ...options });
  const roomId = fieldOf(text, 'room_id');
  if (roomId === undefined) throw new DeliveryError('The homeserver does not know this room', { retryable: false });
  return roomId;
}

function fieldOf(text: string, name: string): string | undefined {
  try {
    const value = (JSON.parse(text) as Readonly<Record<string, unknown>>)[name];
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}
