// The channels that are set.

import type { MailServer } from '../config/messages.ts';
import type { MessageSettings } from '../config/messages.ts';
import type { Channel } from './channel.ts';
import { createDiscord, createSlack } from './chat-webhooks.ts';
import { createEmail } from './email.ts';
import { createNtfy } from './ntfy.ts';
import { createPing } from './ping.ts';
import { createTelegram } from './telegram.ts';
import { createWebhook } from './webhook.ts';

/** Makes them; `server` is Mastodon's mail server, null when it has none. */
export function createChannels(
  settings: MessageSettings,
  { server, telegramUrl }: { readonly server: MailServer | null; readonly telegramUrl?: string },
): readonly Channel[] {
  const { telegram, emailTo, webhookUrl, ntfyUrl, discordUrl, slackUrl, pingUrl } = settings;
  return [
    ...(telegram === null
      ? []
      : [createTelegram({ ...telegram, ...(telegramUrl === undefined ? {} : { baseUrl: telegramUrl }) })]),
    ...(emailTo.length === 0 ? [] : [createEmail({ to: emailTo, server })]),
    ...(webhookUrl === null ? [] : [createWebhook(webhookUrl)]),
    ...(ntfyUrl === null ? [] : [createNtfy(ntfyUrl)]),
    ...(discordUrl === null ? [] : [createDiscord(discordUrl)]),
    ...(slackUrl === null ? [] : [createSlack(slackUrl)]),
    ...(pingUrl === null ? [] : [createPing(pingUrl)]),
  ];
}
