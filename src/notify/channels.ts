// The channels that are set. One that cannot even be made fails when it is used, like one that is down: it is named in log and
// health, and the others, and the backup, go on.

import type { MailServer, MessageSettings } from '../config/messages.ts';
import { describeError } from '../errors.ts';
import { createApprise } from './apprise.ts';
import { DeliveryError, type Channel } from './channel.ts';
import { createDiscord, createSlack } from './chat-webhooks.ts';
import { createEmail } from './email.ts';
import { createGotify } from './gotify.ts';
import { createMatrix } from './matrix.ts';
import { createNtfy } from './ntfy.ts';
import { createPing } from './ping.ts';
import { createTelegram } from './telegram.ts';
import { createWebhook } from './webhook.ts';

/** Makes them; `server` is Mastodon's mail server, null when it has none. Never throws. */
export function createChannels(
  settings: MessageSettings,
  { server, telegramUrl }: { readonly server: MailServer | null; readonly telegramUrl?: string },
): readonly Channel[] {
  const { telegram, emailTo, matrix } = settings;
  const byUrl = (name: string, url: string | null, make: (url: string) => Channel): readonly Channel[] =>
    url === null ? [] : [made(name, () => make(url))];
  return [
    ...(telegram === null
      ? []
      : [
          made('Telegram', () =>
            createTelegram({ ...telegram, ...(telegramUrl === undefined ? {} : { baseUrl: telegramUrl }) }),
          ),
        ]),
    ...(emailTo.length === 0 ? [] : [made('e-mail', () => createEmail({ to: emailTo, server }))]),
    ...byUrl('webhook', settings.webhookUrl, createWebhook),
    ...byUrl('ntfy', settings.ntfyUrl, createNtfy),
    ...byUrl('Discord', settings.discordUrl, createDiscord),
    ...byUrl('Slack', settings.slackUrl, createSlack),
    ...byUrl('Apprise', settings.appriseUrl, createApprise),
    ...byUrl('Gotify', settings.gotifyUrl, createGotify),
    ...(matrix === null ? [] : [made('Matrix', () => createMatrix(matrix))]),
    ...byUrl('ping', settings.pingUrl, createPing),
  ];
}

function made(name: string, make: () => Channel): Channel {
  try {
    return make();
  } catch (error) {
    const fail = async (): Promise<never> => {
      throw new DeliveryError(`its setting cannot be used: ${describeError(error)}`, { retryable: false });
    };
    return { name, filtered: true, deliver: fail, examine: fail };
  }
}
