// Every secret of Mastodon's own environment that could turn up in a log line, an error of a child process or a URL.

import type { Environment } from '../config/environment.ts';
import { variableNames, variableTable } from '../config/reader.ts';

const mastodonSecrets = [
  'DB_PASS',
  'REDIS_PASSWORD',
  'SECRET_KEY_BASE',
  'OTP_SECRET',
  'VAPID_PRIVATE_KEY',
  'ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY',
  'ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY',
  'ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT',
  'AWS_SECRET_ACCESS_KEY',
  'SMTP_PASSWORD',
  'ES_PASS',
  'DEEPL_API_KEY',
  'LIBRE_TRANSLATE_API_KEY',
  'HCAPTCHA_SECRET_KEY',
  'OIDC_CLIENT_SECRET',
  'CAS_SECRET',
  'LDAP_PASSWORD',
] as const;

/** Names that are no secret; a password that is part of one of them is not hidden by hiding it everywhere. */
const publicNames = ['mastodon-backup', 'mastodon_production', 'postgresql', 'localhost'];
const publicVariables = ['DB_USER', 'DB_NAME', 'DB_HOST', 'LOCAL_DOMAIN'] as const;

/** All secret values in the environment, for redaction. */
export function collectSecrets(environment: Environment): readonly string[] {
  const named = [...mastodonSecrets, ...variableNames.filter((name) => variableTable[name].secret === true)];
  const plain = named.map((name) => environment.get(name)?.text).filter((text) => text !== undefined);
  const inUrls = ['DATABASE_URL', 'BACKUP_DATABASE_URL', 'REDIS_URL'].flatMap((name) =>
    passwordsIn(environment.get(name)?.text ?? ''),
  );
  const keys = plain.flatMap((text) => text.match(/AGE-SECRET-KEY-\S+/g) ?? []);
  const known = [...publicNames, ...publicVariables.map((name) => environment.get(name)?.text ?? '')];
  return [...new Set([...plain, ...inUrls, ...keys])].filter((secret) => !known.some((name) => name.includes(secret)));
}

// Wide on purpose: also what looks like a password in a URL that cannot be parsed.
function passwordsIn(url: string): readonly string[] {
  const authority = /^[^:]+:\/\/[^:/?]*:(.*)@/s.exec(url)?.[1];
  const parameter = /[?&]password=([^&]*)/.exec(url)?.[1];
  return [authority, parameter].filter((text) => text !== undefined).flatMap((text) => [text, safeDecode(text)]);
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
