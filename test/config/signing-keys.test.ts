import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parseSigningKey, parseTrustedSigners } from '../../src/config/signing-keys.ts';
import { createSigningKey, publicKeyLine } from '../../src/config/ssh-keys.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { sshKeygen } from '../support/stock-tools.ts';
import { localOnly, problemsOf, settingsOf } from './environments.ts';

const made = createSigningKey('mastodon-backup@social.example');
const line = publicKeyLine(made.publicKey);

describe('a signing key', () => {
  it('is one that ssh-keygen shows, with the same public half', () => {
    using scratch = temporaryDirectory();
    const file = path.join(scratch.path, 'key');
    for (const comment of ['', 'a', 'ab', 'abc', 'abcd', 'abcde', 'abcdef', 'abcdefg', 'abcdefgh']) {
      const { file: text, publicKey } = createSigningKey(comment);
      writeFileSync(file, text, { mode: 0o600 });
      assert.equal(sshKeygen(['-y', '-f', file]).trim(), publicKeyLine(publicKey));
      assert.ok(sshKeygen(['-l', '-f', file]).includes(publicKey.fingerprint));
    }
  });

  it('may come from ssh-keygen', () => {
    using scratch = temporaryDirectory();
    const file = path.join(scratch.path, 'key');
    sshKeygen(['-q', '-t', 'ed25519', '-N', '', '-C', 'me at home', '-f', file]);
    const key = parseSigningKey(readFileSync(file, 'utf8'));
    assert.equal(publicKeyLine(key.publicKey), readFileSync(`${file}.pub`, 'utf8').trim());
  });

  it('may stand on one line, as a variable has it', () => {
    for (const text of [made.file.replaceAll('\n', ' '), made.file.replaceAll('\n', String.raw`\n`), made.file.trim()])
      assert.deepEqual(parseSigningKey(text).publicKey.blob, made.publicKey.blob);
  });

  it('is refused with the remedy when it is mistyped, wherever, and never shown', () => {
    const body = made.file.split('\n').slice(1, -2).join('');
    for (let at = 0; at < body.length - 24; at += 7) {
      const wrong = `${body.slice(0, at)}${body[at] === 'A' ? 'B' : 'A'}${body.slice(at + 1)}`;
      const text = `-----BEGIN OPENSSH PRIVATE KEY-----\n${wrong}\n-----END OPENSSH PRIVATE KEY-----\n`;
      // What the comment says is nobody's business.
      if (isOnlyComment(text)) continue;
      const told = problemsOf({ ...localOnly, BACKUP_SIGNING_KEY: text }).join('\n');
      assert.match(told, /BACKUP_SIGNING_KEY \[hidden\]: .*keygen/s, `at ${at}`);
      assert.ok(!told.includes(wrong.slice(100, 160)));
    }
  });

  function isOnlyComment(text: string): boolean {
    try {
      return parseSigningKey(text).publicKey.blob.equals(made.publicKey.blob);
    } catch {
      return false;
    }
  }

  it('is told apart from what people take for one', () => {
    using scratch = temporaryDirectory();
    const generate = (name: string, args: readonly string[]): string => {
      const file = path.join(scratch.path, name);
      sshKeygen(['-q', ...args, '-f', file]);
      return readFileSync(file, 'utf8');
    };
    const age = execFileSync('age-keygen', { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    for (const [text, expected] of [
      [line, /a public key\b/],
      [age, /opens backups and signs none/],
      [generate('locked', ['-t', 'ed25519', '-N', 'a passphrase']), /protected by a passphrase.*ssh-keygen -p/s],
      [generate('other', ['-t', 'ecdsa', '-N', '']), /another type/],
      ['-----BEGIN OPENSSH PRIVATE KEY-----', /not an OpenSSH private key/],
      ['nothing', /not an OpenSSH private key.*mastodon-backup keygen/s],
    ] as const) {
      assert.match(problemsOf({ ...localOnly, BACKUP_SIGNING_KEY: text }).join('\n'), expected);
    }
  });

  it('that is set but empty is an error, and so are signers: a mistyped name must not switch signatures off', () => {
    for (const name of ['BACKUP_SIGNING_KEY', 'BACKUP_TRUSTED_SIGNERS'])
      assert.match(problemsOf({ ...localOnly, [name]: '' }).join('\n'), /set, but empty/);
  });
});

describe('trusted signers', () => {
  const other = publicKeyLine(createSigningKey('of another machine, at home').publicKey);

  it('are read by lines, by commas, with comments, and from an allowed_signers file, each once', () => {
    for (const text of [
      `${line}\n${other}\n`,
      `${line}, ${other}`,
      `# ours\n${line}\r\n\r\n# theirs\n${other}\n${line}`,
      `mastodon-backup namespaces="mastodon-backup" ${line}\nme@home,you@home ${other}`,
    ])
      assert.deepEqual(parseTrustedSigners(text).map(publicKeyLine), [line, other]);
  });

  it('are refused when one is mistyped, of another type or private', () => {
    for (const [text, expected] of [
      [`${other}\n${line.replace('AAAA', 'AAAB')}`, /key 2 of 2 is not a public key/],
      [line.slice(0, 60), /it is not a public key/],
      ['ssh-rsa AAAAB3NzaC1yc2E me', /another type/],
      ['#', /holds no key/],
      [`${line}\n${made.file}`, /holds a private key/],
    ] as const) {
      const told = problemsOf({ ...localOnly, BACKUP_TRUSTED_SIGNERS: text }).join('\n');
      assert.match(told, expected);
      assert.doesNotMatch(told, /b3BlbnNzaC1rZXk/);
    }
  });

  it('count beside the key that signs here, and without one', () => {
    const signing = (settings: Readonly<Record<string, string>>): readonly unknown[] => {
      const { key, trusted } = settingsOf({ ...localOnly, ...settings }).signing;
      return [key === null, trusted.map(publicKeyLine)];
    };
    assert.deepEqual(signing({}), [true, []]);
    assert.deepEqual(signing({ BACKUP_TRUSTED_SIGNERS: other }), [true, [other]]);
    assert.deepEqual(signing({ BACKUP_SIGNING_KEY: made.file, BACKUP_TRUSTED_SIGNERS: `${other}\n${line}` }), [
      false,
      [line, other],
    ]);
  });
});
