// Apprise's API: one service that passes a message on to a hundred others. It answers 204 and sends nothing when the key has no
// configuration, which would be taken for a message that was sent.

import { DeliveryError, type Channel } from './channel.ts';
import type { Severity } from './event.ts';
import { postJson, request } from './http-request.ts';

const types: Readonly<Record<Severity, string>> = { info: 'success', warning: 'warning', failure: 'failure' };

/** A configuration of an Apprise API, by the URL `…/notify/KEY`. https://github.com/caronc/apprise-api */
export function createApprise(url: string): Channel {
  return {
    name: 'Apprise',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      const { title, text, severity } = message;
      const { status } = await postJson(url, {
        body: { title, body: text, type: types[severity], format: 'text' },
        headers: { accept: 'application/json' },
        signal,
      });
      if (status === 204) throw unknownKey();
    },
    async examine({ signal }) {
      const { status } = await request(configurationUrl(url), { method: 'GET', signal });
      if (status === 204) throw unknownKey();
      return 'it has a configuration under this key';
    },
  };
}

function unknownKey(): DeliveryError {
  return new DeliveryError('Apprise has no configuration under this key and sends nothing', { retryable: false });
}

// What it would send to, without the secrets of these addresses.
function configurationUrl(address: string): string {
  const url = new URL(address);
  url.pathname = url.pathname.replace(/\/notify\/([^/]+)\/*$/, '/json/urls/$1');
  url.search = '?privacy=1';
  return url.href;
}
