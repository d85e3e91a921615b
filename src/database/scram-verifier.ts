// What a server keeps of a password under SCRAM (RFC 5803), made here: a role is created without its password ever being in
// a statement, and so in a server's log.

import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { passwordForms } from './password-forms.ts';

/** PostgreSQL's default, SCRAM_SHA_256_DEFAULT_ITERATIONS. */
const iterations = 4096;
const saltBytes = 16;
const hashBytes = 32;

/** The verifier for PASSWORD of CREATE ROLE; see pg_authid.rolpassword. */
export function scramVerifier(password: string): string {
  const salt = randomBytes(saltBytes);
  const salted = pbkdf2Sync(passwordForms(password).at(-1) ?? password, salt, iterations, hashBytes, 'sha256');
  const keyed = (text: string): Buffer => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(keyed('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt.toString('base64')}$${stored}:${keyed('Server Key').toString('base64')}`;
}
