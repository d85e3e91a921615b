import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import {
  identitiesOf,
  parseAgeIdentity,
  parseAgeRecipients,
  recipientsOf,
  wantsEncrypted,
} from '../../src/config/age-keys.ts';
import { problemsOf, localOnly, settingsOf } from './environments.ts';

describe('age keys', () => {
  let identity: string;
  let hybrid: string;
  let first: string;
  let second: string;
  let postQuantum: string;

  before(async () => {
    identity = await generateX25519Identity();
    hybrid = await generateHybridIdentity();
    first = await identityToRecipient(identity);
    second = await identityToRecipient(await generateX25519Identity());
    postQuantum = await identityToRecipient(hybrid);
  });

  it('takes recipients separated by commas, white space and lines, each once', () => {
    for (const text of [
      `${first},${second}`,
      ` ${first} \t ${second}\n`,
      `${first}\r\n${second}\r\n`,
      `${first},,${second},${first}`,
    ]) {
      assert.deepEqual(parseAgeRecipients(text), [first, second]);
    }
  });

  it('takes a recipients file with comments', () => {
    assert.deepEqual(parseAgeRecipients(`# Alice, at home\n${first}\n\n# Bob\n${second}\n`), [first, second]);
  });

  it('refuses a recipient with one wrong character, and says which of them it is', () => {
    const mistyped = `${first.slice(0, -1)}${first.endsWith('q') ? 'p' : 'q'}`;
    assert.throws(() => parseAgeRecipients(`${second},${mistyped}`), /key 2 of 2/);
  });

  it('refuses nothing but separators and comments, which would switch encryption off', () => {
    for (const text of [',', '  ', '# age1…', '\n,\n']) assert.throws(() => parseAgeRecipients(text), /holds no key/);
  });

  it('refuses a mix of post-quantum and classic keys, which age would refuse too', () => {
    assert.deepEqual(parseAgeRecipients(postQuantum), [postQuantum]);
    assert.throws(() => parseAgeRecipients(`${first} ${postQuantum}`), /post-quantum/);
  });

  it('explains that SSH keys are not supported', () => {
    assert.throws(() => parseAgeRecipients('ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ me@home'), /SSH key/);
  });

  it('never shows a private key that was given as a recipient, in whatever way it was written', () => {
    for (const text of [identity, identity.toLowerCase(), `${first},${identity}`, hybrid, `"${identity}"`]) {
      const lines = problemsOf({ ...localOnly, BACKUP_AGE_RECIPIENTS: text }).join('\n');
      assert.match(lines, /BACKUP_AGE_RECIPIENTS/);
      assert.ok(!lines.toUpperCase().includes(identity.slice(15, 40)), lines);
      assert.ok(!lines.includes(hybrid.slice(18, 40)), lines);
    }
  });

  it('takes an identity file as age-keygen writes it', () => {
    const file = `# created: 2026-11-23T12:00:00Z\r\n# public key: ${first}\r\n${identity}\r\n`;
    assert.deepEqual(parseAgeIdentity(file), [identity]);
    assert.deepEqual(parseAgeIdentity(hybrid), [hybrid]);
  });

  it('refuses a public key, a mistyped key and a file behind a passphrase as an identity', () => {
    assert.throws(() => parseAgeIdentity(first), /public key/);
    assert.throws(() => parseAgeIdentity(`${identity}A`), /not an age private key/);
    assert.throws(() => parseAgeIdentity('# nothing\n'), /holds no key/);
    assert.throws(() => parseAgeIdentity('-----BEGIN AGE ENCRYPTED FILE-----\nYWdl\n'), /passphrase/);
  });

  it('keeps keys out of the settings when there are none', () => {
    const { keys } = settingsOf(localOnly);
    assert.deepEqual(keys, { kind: 'plain', allowPlaintext: false, identities: [] });
    assert.deepEqual([recipientsOf(keys), identitiesOf(keys)], [[], []]);
  });

  it('takes only what is encrypted for a backup where there are recipients or a named key, unless allowed', () => {
    const allowed = { BACKUP_ALLOW_PLAINTEXT: 'true' };
    const recipients = { ...localOnly, BACKUP_AGE_RECIPIENTS: first };
    const named = { identities: [identity] };
    for (const [settings, how, wanted] of [
      [localOnly, {}, false],
      [localOnly, named, true],
      [{ ...localOnly, ...allowed }, named, false],
      [recipients, {}, true],
      [{ ...recipients, BACKUP_AGE_IDENTITY: identity }, {}, true],
      [{ ...recipients, ...allowed }, named, false],
      // What was encrypted once can still be opened; backups are not encrypted any more.
      [{ ...localOnly, BACKUP_AGE_IDENTITY: identity }, {}, false],
    ] as const)
      assert.equal(wantsEncrypted(settingsOf(settings).keys, how), wanted, JSON.stringify([settings, how]));
  });

  it('says whether what is encrypted can be opened here', () => {
    const recipients = { ...localOnly, BACKUP_AGE_RECIPIENTS: first };
    assert.deepEqual(settingsOf(recipients).keys, {
      kind: 'locked',
      allowPlaintext: false,
      recipients: [first],
    });
    const both = settingsOf({ ...recipients, BACKUP_AGE_IDENTITY: identity }).keys;
    assert.deepEqual(both, { kind: 'identities', allowPlaintext: false, recipients: [first], identities: [identity] });
    // A new server that only reads what was encrypted elsewhere.
    const { keys } = settingsOf({ ...localOnly, BACKUP_AGE_IDENTITY: identity });
    assert.deepEqual([keys.kind, recipientsOf(keys), identitiesOf(keys)], ['plain', [], [identity]]);
  });
});
