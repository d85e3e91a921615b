// Mail through the server that Mastodon itself sends by. The sole importer of nodemailer.

import { readFile } from 'node:fs/promises';
import type { Transporter } from 'nodemailer';
import type { MailServer } from '../config/messages.ts';
import { describeError } from '../errors.ts';
import { DeliveryError, type Channel } from './channel.ts';

const timeoutMs = 10_000;

/** Mail to these addresses; without a server every delivery fails and says so. */
export function createEmail({
  to,
  server,
}: {
  readonly to: readonly string[];
  readonly server: MailServer | null;
}): Channel {
  return {
    name: 'e-mail',
    filtered: true,
    async deliver({ message }, { signal }) {
      if (message === null) return;
      await connected(server, {
        signal,
        work: async (transport, { from, returnPath }) => {
          await transport.sendMail({
            from,
            to: [...to],
            subject: message.title,
            text: `${message.text}\n`,
            headers: { 'Auto-Submitted': 'auto-generated' },
            ...(returnPath === null ? {} : { envelope: { from: returnPath, to: [...to] } }),
          });
        },
      });
    },
    async examine({ signal }) {
      let place = '';
      await connected(server, {
        signal,
        work: async (transport, { host, port, login }) => {
          await transport.verify();
          place = `${host}:${port} answers${login === null ? '' : ' and takes the login'}`;
        },
      });
      return place;
    },
  };
}

async function connected(
  server: MailServer | null,
  {
    signal,
    work,
  }: {
    readonly signal: AbortSignal;
    readonly work: (transport: Transporter, server: MailServer) => Promise<void>;
  },
): Promise<void> {
  if (server === null) throw new DeliveryError('BACKUP_EMAIL_TO is set, but SMTP_SERVER is not', { retryable: false });
  // Loaded by who sends mail alone.
  const { createTransport } = await import('nodemailer');
  const transport = createTransport(await transportOptions(server));
  const close = (): void => transport.close();
  signal.addEventListener('abort', close, { once: true });
  try {
    await work(transport, server);
  } catch (error) {
    signal.throwIfAborted();
    const { responseCode, code } = error as { readonly responseCode?: number; readonly code?: string };
    const final = (responseCode ?? 0) >= 500 || code === 'EAUTH';
    throw new DeliveryError(describeError(error), { retryable: !final });
  } finally {
    signal.removeEventListener('abort', close);
    close();
  }
}

async function transportOptions(server: MailServer) {
  const { login, caFile } = server;
  const methods = { plain: 'PLAIN', login: 'LOGIN', cram_md5: 'CRAM-MD5' } as const;
  return {
    host: server.host,
    port: server.port,
    secure: server.implicitTls,
    requireTLS: server.startTls === 'always',
    ignoreTLS: server.startTls === 'never',
    ...(server.domain === null ? {} : { name: server.domain }),
    ...(login === null ? {} : { auth: { user: login.user, pass: login.password }, authMethod: methods[login.method] }),
    tls: {
      rejectUnauthorized: server.verifyCertificate,
      ...(caFile === null ? {} : { ca: await readFile(caFile, 'utf8') }),
    },
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    ...(server.proxy === undefined ? {} : { proxy: server.proxy }),
    disableFileAccess: true,
    disableUrlAccess: true,
  };
}
