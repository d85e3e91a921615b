// Parsers for where messages go. Each throws a `ValueError` that never repeats the value: most of them are secrets.

import { ValueError } from './problem.ts';
import { parseText } from './values.ts';

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
