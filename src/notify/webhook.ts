// Each event as one JSON document, for whoever wants to make something of it: { severity, title, text, event }. Title and
// text are null for an event that is told to machines alone.

import type { Channel } from './channel.ts';
import { severityOf } from './event.ts';
import { postJson } from './http-request.ts';

/** A URL that takes events. */
export function createWebhook(url: string): Channel {
  return {
    name: 'webhook',
    filtered: true,
    async deliver({ event, message }, { signal }) {
      const { title, text } = message ?? { title: null, text: null };
      // Somebody's own program may answer whatever it likes.
      await postJson(url, { body: { severity: severityOf(event), title, text, event }, signal, takesPages: true });
    },
  };
}
