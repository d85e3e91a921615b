// Certificates made with openssl, as an administrator makes them.

import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { serverUser } from './postgres-server.ts';

/** Files of one certificate and its key. */
export interface Pair {
  readonly certificate: string;
  readonly key: string;
}

const subject = (commonName: string): readonly string[] => ['-subj', `/CN=${commonName}`];

function openssl(...args: readonly string[]): void {
  execFileSync('openssl', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

/** Makes an authority of its own in `folder`. */
export function createAuthority(folder: string, name: string): Pair {
  const pair = { certificate: path.join(folder, `${name}.crt`), key: path.join(folder, `${name}.key`) };
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30'];
  openssl('req', ...kind, ...subject(name), '-keyout', pair.key, '-out', pair.certificate);
  chmodSync(pair.certificate, 0o644);
  return pair;
}

/** Makes a certificate that `authority` has signed, in its folder. */
export function issueCertificate(
  authority: Pair,
  options: {
    readonly file: string;
    readonly commonName: string;
    /** Such as `DNS:localhost`. */
    readonly alternativeName?: string;
    /** It has run out. */
    readonly expired?: true;
  },
): Pair {
  const base = path.join(path.dirname(authority.certificate), options.file);
  const pair = { certificate: `${base}.crt`, key: `${base}.key` };
  const request = `${base}.csr`;
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', ...kind, ...subject(options.commonName), '-keyout', pair.key, '-out', request);
  const extensions = `${base}.ext`;
  writeFileSync(extensions, options.alternativeName === undefined ? '' : `subjectAltName=${options.alternativeName}\n`);
  const by = ['-CA', authority.certificate, '-CAkey', authority.key, '-CAcreateserial', '-extfile', extensions];
  const sign = (...validity: readonly string[]): void =>
    openssl('x509', '-req', '-in', request, ...by, ...validity, '-out', pair.certificate);
  if (options.expired !== true) sign('-days', '30');
  else {
    try {
      sign('-not_before', '20200101000000Z', '-not_after', '20200102000000Z');
    } catch {
      // OpenSSL before 3.4 has no such words, and takes a negative number.
      sign('-days', '-1');
    }
  }
  chmodSync(pair.certificate, 0o644);
  chmodSync(pair.key, 0o600);
  return pair;
}

/** Gives a key to the user that runs the test's servers. */
export function giveToServer({ key }: Pair): void {
  if (serverUser.uid !== undefined && serverUser.gid !== undefined) chownSync(key, serverUser.uid, serverUser.gid);
}
