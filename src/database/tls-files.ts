// The certificates of a connection, found and judged as libpq does: what our own driver takes and pg_dump refuses, such as a
// key that others may read, is told before a dump begins and with what mends it.

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { describeUnreadable, realSecretFiles } from '../config/environment.ts';
import { AppError } from '../errors.ts';

/** How a connection is protected. */
export interface TlsSettings {
  readonly host: string;
  readonly sslMode: 'disable' | 'allow' | 'prefer' | 'require' | 'verify-ca' | 'verify-full';
  /** File of the authority, or `system`; null: `~/.postgresql/root.crt`, where there is one. */
  readonly sslRootCertificate: string | null;
  /** File of our own certificate; null: `~/.postgresql/postgresql.crt`, where there is one. */
  readonly sslCertificate?: string | null;
  /** File of its key; null: `~/.postgresql/postgresql.key`. */
  readonly sslKey?: string | null;
}

/** Where the files are; null: there is none. */
export interface TlsFiles {
  readonly root: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
}

/** What is in them, as PEM; undefined: there is none. */
export interface TlsContents {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** The authorities that the system trusts, in one file: Debian, Red Hat, Alpine. */
const systemBundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/cert.pem',
] as const;

/** Whether there is a TLS connection at all: none goes through a socket. */
export function mayEncrypt({ host, sslMode }: TlsSettings): boolean {
  return sslMode !== 'disable' && !host.startsWith('/');
}

/**
 * The paths, whether or not something is there. Those that nobody named are libpq's, where they exist.
 * @see https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-FILE-USAGE
 */
export function findTlsFiles(settings: TlsSettings): TlsFiles {
  const find = (named: string | null | undefined, usual: string): string | null => {
    if (named !== null && named !== undefined) return path.resolve(named);
    const file = path.join(home(), '.postgresql', usual);
    return existsSync(file) ? file : null;
  };
  const { sslRootCertificate: root } = settings;
  const bundle = systemBundles.find((file) => existsSync(file)) ?? systemBundles[0];
  const certificate = find(settings.sslCertificate, 'postgresql.crt');
  return {
    // As a file, since clients before 16 do not know the word.
    root: root === 'system' ? bundle : find(root, 'root.crt'),
    certificate,
    key: certificate === null ? null : find(settings.sslKey, 'postgresql.key'),
  };
}

// A user id without a name has no home.
function home(): string {
  try {
    return homedir();
  } catch {
    return '/nonexistent';
  }
}

/** Reads the files that the connection needs. Throws AppError `settings` for one that is missing or that libpq would refuse. */
export function readTlsFiles(settings: TlsSettings): TlsContents {
  if (!mayEncrypt(settings)) return {};
  const { root, certificate, key } = findTlsFiles(settings);
  if (root === null && settings.sslMode.startsWith('verify-')) {
    throw new AppError(
      'settings',
      `sslmode=${settings.sslMode} needs the certificate of an authority to check against`,
      {
        hint: 'Name its file in the URL (sslrootcert=/path/ca.crt) or in PGSSLROOTCERT; sslrootcert=system takes those that this system trusts.',
      },
    );
  }
  const ca = root === null ? {} : { ca: readCertificate(root, 'certificate of the authority (sslrootcert)').pem };
  if (certificate === null) return ca;
  const own = readCertificate(certificate, 'client certificate (sslcert)');
  if (key === null) {
    throw new AppError('settings', `The client certificate '${certificate}' has no key`, {
      hint: 'Name the file of its key in the URL (sslkey=/path/client.key) or in PGSSLKEY.',
    });
  }
  return { ...ca, cert: own.pem, key: readKey(key, own.certificate) };
}

function readCertificate(file: string, what: string): { readonly pem: string; readonly certificate: X509Certificate } {
  const pem = read(file, what);
  try {
    return { pem, certificate: new X509Certificate(pem) };
  } catch (error) {
    throw new AppError('settings', `The ${what} '${file}' holds no certificate`, {
      cause: error,
      hint: 'Write the certificate into it as PEM, which begins with -----BEGIN CERTIFICATE-----.',
    });
  }
}

function readKey(file: string, certificate: X509Certificate): string {
  const what = 'key of the client certificate (sslkey)';
  const pem = read(file, what);
  refuseOpenKey(file);
  if (/ENCRYPTED/.test(pem)) {
    throw new AppError('settings', `The ${what} '${file}' asks for a passphrase`, {
      hint: 'Store it without one, readable by this program alone: openssl pkey -in client.key -out plain.key.',
    });
  }
  try {
    if (certificate.checkPrivateKey(createPrivateKey(pem))) return pem;
  } catch (error) {
    throw new AppError('settings', `The ${what} '${file}' holds no private key`, {
      cause: error,
      hint: 'Write the key into it as PEM, which begins with -----BEGIN PRIVATE KEY-----.',
    });
  }
  throw new AppError('settings', `The ${what} '${file}' is not that of the certificate`, {
    hint: 'Name certificate and key of one pair in sslcert and sslkey.',
  });
}

// libpq's own rule: what belongs to root may be read by a group.
function refuseOpenKey(file: string): void {
  const { uid, gid, mode } = statSync(file);
  if ((mode & (uid === 0 ? 0o037 : 0o077)) === 0) return;
  const octal = (mode & 0o7777).toString(8).padStart(4, '0');
  throw new AppError(
    'settings',
    `The key of the client certificate (sslkey) '${file}' belongs to ${uid}:${gid} with mode ${octal}; PostgreSQL's programs refuse a key that others may read`,
    { hint: `Run on the host, with the file's path there: chown ${ourId()} ${file} && chmod 0600 ${file}.` },
  );
}

function read(file: string, what: string): string {
  try {
    if (statSync(file).isDirectory()) throw Object.assign(new Error('directory'), { code: 'EISDIR' });
    return readFileSync(file, 'utf8');
  } catch (error) {
    const { problem, remedy } = describeUnreadable(file, { error, uid: ourId(), files: realSecretFiles });
    throw new AppError('settings', `The ${what} '${file}' cannot be read: ${problem}`, {
      cause: error,
      hint: `${remedy}.`,
    });
  }
}

function ourId(): number {
  return process.getuid?.() ?? 0;
}
