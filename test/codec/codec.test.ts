// What we write, the stock tools read; what they write, we read; and no damage goes unnoticed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Readable, Writable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createOneRunKey } from '../../src/codec/age.ts';
import { decoders, encoders, objectSuffix, type Compression } from '../../src/codec/codec.ts';
import { xzBlockBytes } from '../../src/codec/xz.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

async function through(chain: readonly Duplex[], content: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const sink = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      chunks.push(chunk);
      callback();
    },
  });
  const pieces = Array.from({ length: Math.ceil(content.length / 65_536) }, (_, at) =>
    content.subarray(at * 65_536, (at + 1) * 65_536),
  );
  await pipeline([Readable.from(pieces), ...chain, sink]);
  return Buffer.concat(chunks);
}

const compressions: readonly Compression[] = [
  { kind: 'xz', level: 0, threads: 2 },
  { kind: 'zstd', level: 3 },
  { kind: 'none' },
];
const stock = { xz: ['xz', '-d', '-c'], zstd: ['zstd', '-q', '-d', '--long=27', '-c'], none: ['cat'] } as const;
const big = { maxBuffer: 2 ** 28 };
// Half noise, half text: neither trivial nor incompressible.
const sample = (bytes: number): Buffer =>
  Buffer.concat([Buffer.from(randomBytes(Math.ceil(bytes / 2)).toString('hex'))]).subarray(0, bytes);

for (const compression of compressions) {
  describe(`an object compressed with ${compression.kind}`, () => {
    for (const bytes of [
      0,
      1,
      65_535,
      65_536,
      65_537,
      1_000_000,
      ...(compression.kind === 'xz' ? [xzBlockBytes(compression.level) - 1, xzBlockBytes(compression.level) + 1] : []),
    ]) {
      it(`of ${bytes} bytes is decoded by us and by the stock tool`, async () => {
        using folder = temporaryDirectory();
        const content = sample(bytes);
        const encoded = await through(encoders({ compression, recipients: [] }), content);
        const ours = await through(decoders({ compression: compression.kind, identities: null, threads: 1 }), encoded);
        assert.ok(ours.equals(content));
        const stored = path.join(folder.path, 'object');
        writeFileSync(stored, encoded);
        const [command, ...args] = stock[compression.kind];
        assert.ok(execFileSync(command, [...args, stored], big).equals(content));
      });
    }

    it('is encrypted so that stock age opens it, and our one-run key too', async () => {
      using folder = temporaryDirectory();
      const content = sample(300_000);
      const person = await createOneRunKey([]);
      const oneRun = await createOneRunKey([person.recipient]);
      const encoded = await through(
        encoders({ compression, recipients: [person.recipient, oneRun.recipient] }),
        content,
      );
      const ours = await through(
        decoders({ compression: compression.kind, identities: [oneRun.identity], threads: 1 }),
        encoded,
      );
      assert.ok(ours.equals(content));
      const stored = path.join(folder.path, 'object');
      const identity = path.join(folder.path, 'identity');
      writeFileSync(stored, encoded);
      writeFileSync(identity, person.identity);
      writeFileSync(`${stored}.plain`, execFileSync('age', ['-d', '-i', identity, stored], big));
      const [command, ...args] = stock[compression.kind];
      assert.ok(execFileSync(command, [...args, `${stored}.plain`], big).equals(content));
      const stranger = await createOneRunKey([]);
      await assert.rejects(
        through(decoders({ compression: compression.kind, identities: [stranger.identity], threads: 1 }), encoded),
        { reason: 'wrong-key' },
      );
    });

    it('does not decode when it is cut short or a bit is flipped', async () => {
      const person = await createOneRunKey([]);
      const content = sample(400_000);
      const encrypted = compression.kind === 'none';
      const recipients = encrypted ? [person.recipient] : [];
      const identities = encrypted ? [person.identity] : null;
      const encoded = await through(encoders({ compression, recipients }), content);
      for (const cut of [1, 7, 100, Math.floor(encoded.length / 2)]) {
        const half = encoded.subarray(0, encoded.length - cut);
        await assert.rejects(
          through(decoders({ compression: compression.kind, identities, threads: 1 }), half),
          `${cut} bytes cut off`,
        );
      }
      const flipped = Buffer.from(encoded);
      flipped[Math.floor(flipped.length / 2)] = (flipped[Math.floor(flipped.length / 2)] ?? 0) ^ 1;
      const decoded = await through(decoders({ compression: compression.kind, identities, threads: 1 }), flipped).catch(
        () => undefined,
      );
      const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
      assert.ok(decoded === undefined || hash(decoded) !== hash(content));
    });
  });
}

it('an object is named for what decodes it', () => {
  assert.equal(objectSuffix({ compression: 'xz', encrypted: true }), '.dump.xz.age');
  assert.equal(objectSuffix({ compression: 'zstd', encrypted: false }), '.dump.zst');
  assert.equal(objectSuffix({ compression: 'none', encrypted: false }), '.dump');
});

it('post-quantum recipients get a post-quantum one-run key, because age refuses to mix them', async () => {
  const classic = await createOneRunKey([]);
  assert.ok(classic.recipient.startsWith('age1') && !classic.recipient.startsWith('age1pq'));
  const hybrid = await createOneRunKey(['age1pq1example']);
  assert.ok(hybrid.recipient.startsWith('age1pq1'));
});
