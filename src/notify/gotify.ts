// Gotify: an application's message. Its token goes as a header and not in the address, which proxies log.

import type { Channel } from './channel.ts';
import type { Severity } from './event.ts';
import { postJson, request } from './http-request.ts';

const priorities: Readonly<Record<Severity, number>> = { info: 2, warning: 5, failure: 8 };

/** An application of a Gotify server, by the server's URL with `?token=`. */
export function createGotify(serverUrl: string): Channel {
  const url = new URL(serverUrl);
  const token = url.searchParams.get('token') ?? '';
  url.searchParams.delete('token');
  url.pathname = `${url.pathname.replace(/\/+$/, '').replace(/\/message$/, '')}/message`;
  return {
    name: 'Gotify',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      const { title, text, severity } = message;
      await postJson(url.href, {
        body: { title, message: text, priority: priorities[severity] },
        headers: { 'x-gotify-key': token },
        signal,
      });
    },
    async examine({ signal }) {
      await request(new URL('health', url).href, { method: 'GET', signal });
      return 'the server answers; whether it takes the token is not known before a message is sent';
    },
  };
}
