// The mail server that Mastodon sends by, from its `SMTP_*` variables as its config/environments/production.rb and
// config/email.yml read them.

import type { Environment } from '../config/environment.ts';
import type { MailServer } from '../config/messages.ts';
import { readProxy } from '../config/proxy.ts';
import { mailProxy } from './mail-proxy.ts';

/** Net::SMTP's default, which Rails leaves alone. */
const defaultPort = 25;

/** The server; null when SMTP_SERVER is not set or when Mastodon delivers in another way than by SMTP. */
export function readMailServer(environment: Environment): MailServer | null {
  const text = (name: string): string | null => environment.get(name)?.text ?? null;
  const host = text('SMTP_SERVER');
  if (host === null || (text('SMTP_DELIVERY_METHOD') ?? 'smtp') !== 'smtp') return null;
  const user = text('SMTP_LOGIN');
  const method = text('SMTP_AUTH_METHOD') ?? 'plain';
  const wanted = Number(text('SMTP_PORT') ?? defaultPort);
  const port = Number.isInteger(wanted) && wanted > 0 && wanted < 65_536 ? wanted : defaultPort;
  const proxy = mailProxy(
    readProxy((name) => environment.get(name)?.text),
    { host, port },
  );
  return {
    host,
    port,
    ...(proxy === null ? {} : { proxy }),
    implicitTls: text('SMTP_TLS') === 'true' || text('SMTP_SSL') === 'true',
    startTls: readStartTls(text),
    verifyCertificate: text('SMTP_OPENSSL_VERIFY_MODE') !== 'none',
    caFile: text('SMTP_CA_FILE'),
    login:
      user === null || method === 'none'
        ? null
        : {
            user,
            password: text('SMTP_PASSWORD') ?? '',
            method: method === 'login' || method === 'cram_md5' ? method : 'plain',
          },
    domain: text('SMTP_DOMAIN') ?? text('LOCAL_DOMAIN'),
    from: text('SMTP_FROM_ADDRESS') ?? 'notifications@localhost',
    returnPath: text('SMTP_RETURN_PATH'),
  };
}

function readStartTls(text: (name: string) => string | null): MailServer['startTls'] {
  const wanted = text('SMTP_ENABLE_STARTTLS');
  if (wanted === 'always' || wanted === 'never' || wanted === 'auto') return wanted;
  return text('SMTP_ENABLE_STARTTLS_AUTO') === 'false' ? 'never' : 'auto';
}
