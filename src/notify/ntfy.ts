// ntfy: published as JSON to the server's root, because headers cannot carry every letter of a title. User and password in
// the URL become an Authorization header; an `auth` parameter stays.

import type { Channel } from './channel.ts';
import type { Severity } from './event.ts';
import { postJson, shorten } from './http-request.ts';

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
  const { username, password } = url;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const headers: Readonly<Record<string, string>> =
    username === '' && password === '' ? {} : { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` };
  url.username = '';
  url.password = '';
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
        headers,
        signal,
      });
    },
  };
}
