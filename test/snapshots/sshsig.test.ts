import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parsePrivateKey, createSigningKey, publicKeyLine } from '../../src/config/ssh-keys.ts';
import { createSignature, readSigner } from '../../src/snapshots/sshsig.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { sshKeygen } from '../support/stock-tools.ts';

const made = createSigningKey('mastodon-backup');
const key = parsePrivateKey(made.file);
const content = Buffer.from('{\n  "format": 1\n}\n');

describe('a signature', () => {
  it('is one that ssh-keygen -Y verify takes for these bytes and no others', () => {
    using scratch = temporaryDirectory();
    const [signers, file] = ['allowed_signers', 'manifest.json.sig'].map((name) => path.join(scratch.path, name));
    writeFileSync(signers ?? '', `mastodon-backup ${publicKeyLine(made.publicKey)}\n`);
    const verify = (input: Buffer): string =>
      sshKeygen(
        ['-Y', 'verify', '-f', signers ?? '', '-I', 'mastodon-backup', '-n', 'mastodon-backup', '-s', file ?? ''],
        input,
      );
    for (const bytes of [content, Buffer.alloc(0), Buffer.alloc(100_000, 7)]) {
      writeFileSync(file ?? '', createSignature(bytes, key));
      assert.match(verify(bytes), /^Good "mastodon-backup" signature for mastodon-backup with ED25519 key/);
      assert.throws(() => verify(Buffer.concat([bytes, Buffer.from(' ')])));
    }
  });

  it('may be made by ssh-keygen -Y sign, with both of its hashes', () => {
    using scratch = temporaryDirectory();
    const [keyFile, file] = ['key', 'content'].map((name) => path.join(scratch.path, name));
    writeFileSync(keyFile ?? '', made.file, { mode: 0o600 });
    for (const hash of ['sha256', 'sha512']) {
      const named = `${file}-${hash}`;
      writeFileSync(named, content);
      sshKeygen(['-Y', 'sign', '-f', keyFile ?? '', '-n', 'mastodon-backup', '-O', `hashalg=${hash}`, named]);
      const signature = readFileSync(`${named}.sig`, 'utf8');
      assert.equal(readSigner(content, signature)?.fingerprint, made.publicKey.fingerprint);
      assert.equal(readSigner(Buffer.from('other'), signature), null);
    }
  });

  it('by the same key for something else is none', () => {
    using scratch = temporaryDirectory();
    const [keyFile, file] = ['key', 'content'].map((name) => path.join(scratch.path, name));
    writeFileSync(keyFile ?? '', made.file, { mode: 0o600 });
    writeFileSync(file ?? '', content);
    sshKeygen(['-Y', 'sign', '-f', keyFile ?? '', '-n', 'git', file ?? '']);
    assert.equal(readSigner(content, readFileSync(`${file}.sig`, 'utf8')), null);
  });

  it('with any byte changed, left out or added is none', () => {
    const signature = createSignature(content, key);
    assert.equal(readSigner(content, signature)?.fingerprint, made.publicKey.fingerprint);
    const lines = signature.split('\n').slice(1, -2).join('');
    const blob = Buffer.from(lines, 'base64');
    const read = (bytes: Buffer): unknown =>
      readSigner(content, `-----BEGIN SSH SIGNATURE-----\n${bytes.toString('base64')}\n-----END SSH SIGNATURE-----\n`);
    fc.assert(
      fc.property(fc.nat(blob.length - 1), fc.integer({ min: 1, max: 255 }), (at, bits) => {
        const changed = Buffer.from(blob);
        changed[at] = (changed[at] ?? 0) ^ bits;
        assert.equal(read(changed), null);
      }),
    );
    assert.equal(read(Buffer.concat([blob, Buffer.of(0)])), null);
    for (let length = 0; length < blob.length; length += 1) assert.equal(read(blob.subarray(0, length)), null);
  });

  it('is read of anything without an exception', () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 300 }), (text, bytes) => {
        assert.equal(readSigner(content, text), null);
        const base64 = Buffer.from(bytes).toString('base64');
        const armoured = `-----BEGIN SSH SIGNATURE-----\n${base64}\n-----END SSH SIGNATURE-----`;
        assert.equal(readSigner(content, armoured), null);
      }),
    );
  });
});
