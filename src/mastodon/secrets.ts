// Every secret of this environment that could turn up in a log line, an error of a child process or a URL. Wide on purpose:
// a word too many that is blackened costs less than a password in a log.

import type { Environment } from '../config/environment.ts';
import { mastodonVariableNames, mastodonVariables, variableNames, variables } from '../config/table.ts';

/** Mastodon's secrets whose names do not say it, or whose values may be short. */
const namedSecrets = [
  'ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY',
  'ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY',
  'ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT',
  'SECRET_KEY_BASE',
  'OTP_SECRET',
  'VAPID_PRIVATE_KEY',
  'AWS_SECRET_ACCESS_KEY',
  'AZURE_STORAGE_ACCESS_KEY',
  'REDIS_PASSWORD',
  'REPLICA_DB_PASS',
  'SMTP_PASSWORD',
  'ES_PASS',
] as const;
const secretName = /(?:PASSWORD|PASS|SECRET|SECRET_KEY|PRIVATE_KEY|API_KEY|ACCESS_KEY|TOKEN)$/;
/** Shorter values under a name that merely looks secret are switches such as `true`. */
const shortestGuess = 8;
/** Shorter path segments of a webhook are words such as `webhooks`. */
const shortestSegment = 12;

/** Names that are no secret; a password that is part of one of them is not hidden by hiding that part everywhere. */
const publicNames = ['mastodon-backup', 'mastodon_production', 'postgresql', 'localhost'];
const publicVariables = ['DB_USER', 'DB_NAME', 'DB_HOST', 'LOCAL_DOMAIN'] as const;

/** All secret values in the environment, with their parts and decoded forms, for the redactor. Never throws. */
export function collectSecrets(environment: Environment): readonly string[] {
  const ours = variableNames.filter((name) => variables[name].secret === true);
  const foreign = mastodonVariableNames.filter((name) => mastodonVariables[name].secret === true);
  const named = [...ours, ...foreign, ...namedSecrets].flatMap((name) => environment.get(name)?.text ?? []);
  const all = environment.names.map((name) => ({ name, text: environment.get(name)?.text ?? '' }));
  const guessed = all
    .filter(({ name, text }) => secretName.test(name) && text.length >= shortestGuess)
    .map(({ text }) => text);
  const inUrls = [...named, ...all.map(({ text }) => text)].flatMap(passwordsIn);
  const inChannels = ours.flatMap((name) => segmentsOf(environment.get(name)?.text ?? ''));
  const keys = [...named, ...all.map(({ text }) => text)].flatMap(
    (text) => text.match(/AGE-SECRET-KEY-[\w-]+/gi) ?? [],
  );
  const known = [...publicNames, ...publicVariables.map((name) => environment.get(name)?.text ?? '')];
  return [...new Set([...named, ...guessed, ...inUrls, ...inChannels, ...keys].flatMap(forms))].filter(
    (text) => text !== '' && !known.some((name) => name.includes(text)),
  );
}

// Also what looks like a password in a URL that cannot be parsed.
function passwordsIn(text: string): readonly string[] {
  const authority = /^[a-z][\w+.-]*:\/\/[^:/?#@]*:(.*)@/is.exec(text)?.[1];
  const parameter = /^[a-z][\w+.-]*:\/\/.*[?&]password=([^&#]*)/is.exec(text)?.[1];
  return [authority, parameter].filter((part) => part !== undefined);
}

// A webhook's address is its secret; error texts show its path without the host.
function segmentsOf(text: string): readonly string[] {
  const url = URL.parse(text);
  if (url === null || !url.protocol.startsWith('http')) return [];
  const segments = `${url.pathname}/${url.search}`
    .split(/[/?&=:]/)
    .filter((segment) => segment.length >= shortestSegment);
  return url.pathname.length + url.search.length >= shortestSegment
    ? [`${url.pathname}${url.search}`, ...segments]
    : segments;
}

// As written, by line (an identity file), without white space around it, and percent-decoded.
function forms(text: string): readonly string[] {
  const lines = text.includes('\n')
    ? text.split(/[\r\n]+/).filter((line) => line.length >= shortestGuess && !line.startsWith('#'))
    : [];
  return [text, text.trim(), safeDecode(text), ...lines.map((line) => line.trim())];
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
