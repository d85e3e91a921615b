// Who is told about backups, and how. No parser repeats its value: most of them are secrets.

import { ValueError } from './problem.ts';
import type { Values } from './table.ts';
import { parseText } from './values.ts';

/** Where and how messages go; null: not there. */
export interface MessageSettings {
  readonly when: 'always' | 'failure' | 'off';
  readonly telegram: { readonly botToken: string; readonly chatId: string } | null;
  /** Empty: none. */
  readonly emailTo: readonly string[];
  readonly webhookUrl: string | null;
  readonly ntfyUrl: string | null;
  readonly discordUrl: string | null;
  readonly slackUrl: string | null;
  readonly pingUrl: string | null;
}

/** Where mail is handed in, and how. */
export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte. */
  readonly implicitTls: boolean;
  readonly startTls: 'auto' | 'always' | 'never';
  readonly verifyCertificate: boolean;
  readonly caFile: string | null;
  /** Null: no authentication. */
  readonly login: {
    readonly user: string;
    readonly password: string;
    readonly method: 'plain' | 'login' | 'cram_md5';
  } | null;
  /** What we call ourselves in EHLO. */
  readonly domain: string | null;
  readonly from: string;
  readonly returnPath: string | null;
}

/** Where messages go, from values that are all valid. */
export function toMessages(values: Values): MessageSettings {
  const { BACKUP_TELEGRAM_BOT_TOKEN: botToken, BACKUP_TELEGRAM_CHAT_ID: chatId } = values;
  return {
    when: values.BACKUP_NOTIFY ?? 'always',
    telegram: botToken === undefined || chatId === undefined ? null : { botToken, chatId },
    emailTo: values.BACKUP_EMAIL_TO ?? [],
    webhookUrl: values.BACKUP_WEBHOOK_URL ?? null,
    ntfyUrl: values.BACKUP_NTFY_URL ?? null,
    discordUrl: values.BACKUP_DISCORD_WEBHOOK_URL ?? null,
    slackUrl: values.BACKUP_SLACK_WEBHOOK_URL ?? null,
    pingUrl: values.BACKUP_PING_URL ?? null,
  };
}

/** An http or https URL that is a secret itself, as it was written. Throws `ValueError`. */
export function parseSecretUrl(text: string): string {
  const url = URL.parse(parseText(text));
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ValueError('not a web address', { remedy: "Write a URL that starts with 'https://'" });
  }
  return text;
}

/** A Telegram bot's token, as @BotFather gives it. Throws `ValueError`. */
export function parseBotToken(text: string): string {
  if (!/^\d{5,}:[\w-]{20,}$/.test(text)) {
    throw new ValueError('not a bot token', {
      remedy: "Write it as @BotFather gave it: digits, ':', letters; without 'bot' before it",
    });
  }
  return text;
}

/** A Telegram chat: a number, negative for groups, or `@channel`. Throws `ValueError`. */
export function parseChatId(text: string): string {
  if (!/^(?:-?\d{1,20}|@\w{4,})$/.test(text)) {
    throw new ValueError('not a chat', { remedy: "Write the chat's number (a group's starts with '-') or '@channel'" });
  }
  return text;
}

/** Mail addresses, separated by commas. Throws `ValueError`. */
export function parseEmailAddresses(text: string): readonly string[] {
  const addresses = parseText(text)
    .split(',')
    .map((address) => address.trim())
    .filter((address) => address !== '');
  if (addresses.length === 0 || !addresses.every((address) => /^[^\s@<>"]+@[^\s@<>"]+$/.test(address))) {
    throw new ValueError('not a list of mail addresses', {
      remedy: "Write 'admin@example.com', several separated by commas",
    });
  }
  return addresses;
}
