// Chats that take a message by a webhook of theirs: Discord (at most 2000 characters) and Slack. Neither may ping anybody
// because of what an error text happens to contain.

import type { Channel } from './channel.ts';
import type { Severity } from './event.ts';
import { shorten } from '../text/shorten.ts';
import { postJson, request } from './http-request.ts';

const longestDiscord = 2_000;
const longestSlack = 12_000;
const signs: Readonly<Record<Severity, string>> = { info: '✅', warning: '⚠️', failure: '❌' };

/** A Discord webhook. */
export function createDiscord(url: string): Channel {
  return {
    name: 'Discord',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      const content = shorten(`${signs[message.severity]} **${message.title}**\n${message.text}`, longestDiscord);
      await postJson(url, { body: { content, allowed_mentions: { parse: [] } }, signal });
    },
    async examine({ signal }) {
      const { text } = await request(url, { method: 'GET', signal });
      const name = /"name"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text)?.[1];
      return `the webhook ${name ?? ''} is there`.replace('  ', ' ');
    },
  };
}

/** A Slack webhook; also Mattermost's and Rocket.Chat's, which take the same. */
export function createSlack(url: string): Channel {
  return {
    name: 'Slack',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      // Slack's own escapes, without which `<!channel>` in a text would call everybody.
      const escape = (text: string): string =>
        text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      const text = shorten(
        `${signs[message.severity]} *${escape(message.title)}*\n${escape(message.text)}`,
        longestSlack,
      );
      await postJson(url, { body: { text }, signal });
    },
  };
}
