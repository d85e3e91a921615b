// The settings that say who is told about backups, and how.

import { parseDuration } from './duration.ts';
import { parseBotToken, parseChatId, parseEmailAddresses, parseSecretUrl } from './message-values.ts';
import { parseInteger, parseText, parseWord } from './values.ts';
import { rowsOf, type Variable } from './variable.ts';

const row = rowsOf('messages');

function channel(doc: string): Variable<string> {
  return row({ parse: parseSecretUrl, preset: null, secret: true, doc });
}

/** The settings of the section by name. */
export const messageVariables = {
  BACKUP_NOTIFY: row({
    parse: parseWord('always', 'failure', 'off'),
    preset: 'always',
    doc: '`always`, `failure` or `off`',
  }),
  BACKUP_TELEGRAM_BOT_TOKEN: row({
    parse: parseBotToken,
    preset: null,
    secret: true,
    doc: 'token of a Telegram bot, together with the next',
  }),
  BACKUP_TELEGRAM_CHAT_ID: row({
    parse: parseChatId,
    preset: null,
    doc: 'the chat it writes to: a number, or `@channel`',
  }),
  BACKUP_EMAIL_TO: row({
    parse: parseEmailAddresses,
    preset: null,
    doc: "addresses, separated by commas; sent through Mastodon's own `SMTP_*` settings",
  }),
  BACKUP_WEBHOOK_URL: channel('receives each event as JSON'),
  BACKUP_NTFY_URL: channel('an ntfy topic'),
  BACKUP_DISCORD_WEBHOOK_URL: channel('a Discord webhook'),
  BACKUP_SLACK_WEBHOOK_URL: channel('a Slack webhook'),
  BACKUP_PING_URL: channel(
    "dead man's switch: `/start`, success and `/fail` as healthchecks.io has it, or an Uptime Kuma push URL",
  ),
  BACKUP_HEALTH_GRACE: row({
    parse: parseDuration('age'),
    preset: '2h',
    doc: 'how late a backup may be before health says so',
  }),
  BACKUP_HTTP_PORT: row({
    parse: parseInteger(1, 65_535),
    preset: null,
    presetNote: 'off',
    doc: 'serves `/healthz`, `/metrics` and the status page',
  }),
  BACKUP_HTTP_TOKEN: row({
    parse: parseText,
    preset: null,
    secret: true,
    doc: 'bearer token these ask for',
  }),
  BACKUP_LOG_LEVEL: row({
    parse: parseWord('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'),
    preset: 'info',
    doc: '`trace`, `debug`, `info`, `warn`, `error`, `fatal` or `silent`',
  }),
  BACKUP_LOG_FORMAT: row({
    parse: parseWord('json', 'pretty'),
    preset: null,
    presetNote: '`pretty` on a terminal, else `json`',
    doc: '`json` or `pretty`',
  }),
} as const;
