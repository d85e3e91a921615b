// What libpq's sslmode means for a driver that knows only on and off. Checked less than by libpq, our own connection would
// talk to a server that pg_dump refuses; checked otherwise, it would refuse the one that Mastodon uses.

import { isIP } from 'node:net';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { Client, ClientConfig } from 'pg';
import { describeError } from '../errors.ts';
import { mayEncrypt, readTlsFiles, type TlsSettings } from './tls-files.ts';

/** What the driver takes; false: no TLS. */
export type TlsChoice = NonNullable<ClientConfig['ssl']>;

type Check = 'none' | 'chain' | 'chain and name';

/** The ways to try, in order: `prefer` and `allow` have two. Throws AppError `settings` for files that cannot be used. */
export function tlsChoices(settings: TlsSettings): readonly TlsChoice[] {
  if (!mayEncrypt(settings)) return [false];
  const contents = readTlsFiles(settings);
  const { host } = settings;
  const check = checkOf(settings, { hasRoot: contents.ca !== undefined });
  const encrypted: TlsChoice = {
    ...contents,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized: check !== 'none',
    checkServerIdentity: (_name, certificate) =>
      check === 'chain and name' ? findOtherName(host, certificate) : undefined,
  };
  if (settings.sslMode === 'allow') return [false, encrypted];
  return settings.sslMode === 'prefer' ? [encrypted, false] : [encrypted];
}

// With the certificate of an authority at hand libpq checks the chain in every mode.
function checkOf({ sslMode }: TlsSettings, { hasRoot }: { readonly hasRoot: boolean }): Check {
  if (sslMode === 'verify-full') return 'chain and name';
  return hasRoot ? 'chain' : 'none';
}

// As libpq, where a certificate has no alternative name of its host's kind, its common name counts, also for an address.
function findOtherName(host: string, certificate: PeerCertificate): Error | undefined {
  const kind = isIP(host) === 0 ? 'DNS:' : 'IP Address:';
  const alone = !(certificate.subjectaltname ?? '').includes(kind);
  if (alone && [certificate.subject.CN].flat().includes(host)) return undefined;
  return checkServerIdentity(host, certificate);
}

/** Whether the next way is to be tried: this one was refused for being encrypted, for not being so, or by its certificate. */
export function isTlsRefusal(error: unknown): boolean {
  return (
    /does not support SSL|no pg_hba\.conf entry .*(no encryption|SSL off)|SSL connection is required/i.test(
      describeError(error),
    ) || /^(?:ERR_SSL_|ERR_TLS_|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/.test(codeOf(error))
  );
}

function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === 'string' ? code : '';
}

/** Remedies for what goes wrong with certificates, in the words of Node, of OpenSSL in libpq and of the server. */
export const tlsHints: readonly (readonly [RegExp, string])[] = [
  [
    /alert unknown ca|alert bad certificate|alert certificate (?:required|unknown|expired)|alert number (?:42|46|48)/i,
    'Name a client certificate that the server takes (sslcert, sslkey): of the authority in its ssl_ca_file, and not expired.',
  ],
  [
    /certificate has expired|certificate is not yet valid/i,
    "Renew the server's certificate (ssl_cert_file), or set this machine's clock.",
  ],
  [
    /does not match (?:certificate's altnames|host name)|certificate's altnames/i,
    "Write the host as the server's certificate names it, or check the authority alone: sslmode=verify-ca.",
  ],
  [
    /self-signed certificate|unable to (?:verify|get)|certificate verify failed/i,
    "Name the certificate of the authority that signed the server's: sslrootcert=/path/ca.crt in the URL, or PGSSLROOTCERT.",
  ],
  [
    /requires a valid client certificate|certificate authentication failed/i,
    'Name a client certificate for this role and its key in the URL: DATABASE_URL=postgresql://…?sslcert=/path/client.crt&sslkey=/path/client.key.',
  ],
];

const checks = {
  none: "the server's certificate is not checked",
  chain: "the server's certificate is checked, its host name is not",
  'chain and name': "the server's certificate and host name are checked",
} as const satisfies Record<Check, string>;

/** How an open connection is protected, in words for people. */
export async function describeProtection(client: Client, settings: TlsSettings): Promise<string> {
  if (settings.host.startsWith('/')) return 'by a Unix socket';
  const { rows } = await client.query<{ version: string; dn: string | null }>(
    "select version, to_jsonb(s) ->> 'client_dn' as dn from pg_stat_ssl s where pid = pg_backend_pid() and ssl",
  );
  const [session] = rows;
  if (session === undefined) return `not encrypted (sslmode ${settings.sslMode})`;
  const check = checkOf(settings, { hasRoot: readTlsFiles(settings).ca !== undefined });
  const as = session.dn === null ? '' : `, client certificate ${session.dn}`;
  return `${session.version}, ${checks[check]} (sslmode ${settings.sslMode})${as}`;
}
