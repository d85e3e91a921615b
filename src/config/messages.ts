// Who is told about backups, and how. No parser repeats its value: most of them are secrets.

import { ValueError } from './problem.ts';
import type { Values } from './table.ts';
import { parseText } from './values.ts';

/** Where and how messages go; null: not there. */
export interface MessageSettings {
  readonly when: 'always' | 'failure' | 'off';
  readonly telegram: {
    readonly botToken: string;
    readonly chatId: string;
    /** A topic of a group; null: none. */
    readonly threadId: number | null;
  } | null;
  /** Empty: none. */
  readonly emailTo: readonly string[];
  readonly webhookUrl: string | null;
  readonly ntfyUrl: string | null;
  readonly discordUrl: string | null;
  readonly slackUrl: string | null;
  readonly appriseUrl: string | null;
  readonly gotifyUrl: string | null;
  readonly matrix: { readonly homeserver: string; readonly room: string; readonly token: string } | null;
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
  /** The proxy that leads there; left out: none. */
  readonly proxy?: string;
}

/** Where messages go, from values that are all valid; a channel of which a part is missing is none. */
export function toMessages(values: Values): MessageSettings {
  const { BACKUP_TELEGRAM_BOT_TOKEN: botToken, BACKUP_TELEGRAM_CHAT_ID: chatId } = values;
  const { BACKUP_MATRIX_HOMESERVER: homeserver, BACKUP_MATRIX_ROOM: room, BACKUP_MATRIX_TOKEN: token } = values;
  return {
    when: values.BACKUP_NOTIFY ?? 'always',
    telegram:
      botToken === undefined || chatId === undefined
        ? null
        : { botToken, chatId, threadId: values.BACKUP_TELEGRAM_THREAD_ID ?? null },
    emailTo: values.BACKUP_EMAIL_TO ?? [],
    webhookUrl: values.BACKUP_WEBHOOK_URL ?? null,
    ntfyUrl: values.BACKUP_NTFY_URL ?? null,
    discordUrl: values.BACKUP_DISCORD_WEBHOOK_URL ?? null,
    slackUrl: values.BACKUP_SLACK_WEBHOOK_URL ?? null,
    appriseUrl: values.BACKUP_APPRISE_URL ?? null,
    gotifyUrl: values.BACKUP_GOTIFY_URL ?? null,
    matrix: homeserver === undefined || room === undefined || token === undefined ? null : { homeserver, room, token },
    pingUrl: values.BACKUP_PING_URL ?? null,
  };
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

/** A Matrix room: `!id:server`, or its alias `#name:server`. Throws `ValueError`. */
export function parseMatrixRoom(text: string): string {
  if (!/^[!#][^\s:]+(?::\S+)?$/.test(parseText(text)) || (text.startsWith('#') && !text.includes(':'))) {
    throw new ValueError('not a Matrix room', {
      remedy: "Write the room's id ('!…', in its settings under Advanced) or its address '#room:example.org'",
    });
  }
  return text;
}
