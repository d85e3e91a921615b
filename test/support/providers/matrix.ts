// A Matrix homeserver: whoami, a room's alias, a message in it, and its limit of messages.
// https://spec.matrix.org/latest/client-server-api/

import { startProvider, type Provider } from './provider.ts';

/** A homeserver with one user in one room; the first message is one too many when it is `busy`. */
export async function startMatrix(known: {
  readonly token: string;
  readonly roomId: string;
  readonly alias: string;
  readonly busy?: boolean;
}): Promise<Provider & { readonly events: ReadonlyMap<string, unknown> }> {
  const events = new Map<string, unknown>();
  let isBusy = known.busy === true;
  const refuse = (status: number, errcode: string, error: string, more: object = {}) => ({
    status,
    body: { errcode, error, ...more },
  });
  const provider = await startProvider(({ method, path, headers, body }) => {
    const rest = decodeURIComponent(path.replace(/^\/_matrix\/client\/v3\//, ''));
    if (headers.authorization !== `Bearer ${known.token}`)
      return refuse(401, 'M_UNKNOWN_TOKEN', 'Unrecognised access token');
    if (rest === 'account/whoami') return { status: 200, body: { user_id: '@backup:example.org' } };
    if (rest === `directory/room/${known.alias}`) return { status: 200, body: { room_id: known.roomId, servers: [] } };
    if (rest.startsWith('directory/room/')) return refuse(404, 'M_NOT_FOUND', 'Room alias not found');
    const transaction = /^rooms\/(.+)\/send\/m\.room\.message\/([\w-]+)$/.exec(rest);
    if (method !== 'PUT' || transaction?.[1] !== known.roomId) return refuse(403, 'M_FORBIDDEN', 'User not in room');
    events.set(transaction[2] ?? '', JSON.parse(body));
    if (isBusy) {
      isBusy = false;
      return refuse(429, 'M_LIMIT_EXCEEDED', 'Too Many Requests', { retry_after_ms: 40 });
    }
    return { status: 200, body: { event_id: '$1' } };
  });
  return { ...provider, events };
}
