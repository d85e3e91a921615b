// ntfy: published as JSON to the server's root, because headers cannot carry every letter of a title. User and password in
// the URL become an Authorization header; an `auth` parameter stays.

import { shorten } from '../text/shorten.ts';
import type { Channel } from './channel.ts';
import type { Severity } from './event.ts';
import { postJson, request } from './http-request.ts';

const priorities: Readonly<Record<Severity, number>> = { info: 2, warning: 4, failure: 5 };
const tags: Readonly<Record<Severity, string>> = {
  info: 'white_check_mark',
  warning: 'warning',
  failure: 'rotating_light',
};
/** ntfy makes an attachment of longer ones. */
const longestText = 3_800;

/** A topic, by its URL. */
export function createNtfy(topicUrl: string): Channel {
  const url = new URL(topicUrl);
  const topic = decodeURIComponent(url.pathname.split('/').at(-1) ?? '');
  url.pathname = url.pathname.slice(0, url.pathname.lastIndexOf('/') + 1);
  return {
    name: 'ntfy',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      await postJson(url.href, {
        body: {
          topic,
          title: message.title,
          message: shorten(message.text, longestText),
          priority: priorities[message.severity],
          tags: [tags[message.severity]],
        },
        signal,
      });
    },
    async examine({ signal }) {
      await request(new URL('v1/health', url).href, { method: 'GET', signal });
      return 'the server answers; whether it takes messages is not known before one is sent';
    },
  };
}
