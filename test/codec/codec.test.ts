// What we write, the stock tools read; what they write, we read; and no damage goes unnoticed.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { describe, it } from 'node:test';
import { Readable, Writable, type Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createOneRunKey } from '../../src/codec/age.ts';
import { compressorOf, decoders, encoders, objectSuffix, type Compression } from '../../src/codec/codec.ts';
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
  { kind: 'zstd', level: 3, threads: 2 },
  { kind: 'zstd', level: 12, threads: 2 },
  { kind: 'none' },
];
/** Of what is compressed side by side; at the other levels of zstd there are none. */
const blockBytes = { xz: xzBlockBytes(0), zstd: 8 * 2 ** 20 };
const stock = { xz: ['xz', '-d', '-c'], zstd: ['zstd', '-q', '-d', '--long=27', '-c'], none: ['cat'] } as const;
const big = { maxBuffer: 2 ** 28 };
const limit = { bytes: 2 ** 28, excess: () => new Error('too much') };
// Half noise, half text: neither trivial nor incompressible; what is large comes again. Made once, for all that are not larger.
let longest = Buffer.alloc(0);
function sample(bytes: number): Buffer {
  if (longest.length < bytes) longest = Buffer.alloc(bytes, randomBytes(200_000).toString('hex'));
  return longest.subarray(0, bytes);
}
// Ones and zeros without an order, of which something short comes again everywhere: nothing takes longer to compress.
const digits = Array.from({ length: 256 }, (_, byte) => byte.toString(2).padStart(8, '0'));
const tedious = (bytes: number): Buffer =>
  Buffer.from(Array.from(randomBytes(bytes / 8), (byte) => digits[byte]).join(''));

for (const compression of compressions) {
  const name = compression.kind === 'none' ? 'none' : `${compression.kind} at level ${compression.level}`;
  describe(`an object compressed with ${name}`, () => {
    for (const bytes of [
      0,
      1,
      65_535,
      65_536,
      65_537,
      1_000_000,
      ...(compression.kind === 'none'
        ? []
        : [-1, 0, 1, 2 * blockBytes[compression.kind]].map((more) => blockBytes[compression.kind] + more)),
    ]) {
      it(`of ${bytes} bytes is decoded by us and by the stock tool`, async () => {
        using folder = temporaryDirectory();
        const content = sample(bytes);
        const encoded = await through(encoders({ compression, recipients: [] }), content);
        const ours = await through(
          decoders({ compression: compression.kind, identities: null, threads: 1, limit }),
          encoded,
        );
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
        decoders({ compression: compression.kind, identities: [oneRun.identity], threads: 1, limit }),
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
        through(
          decoders({ compression: compression.kind, identities: [stranger.identity], threads: 1, limit }),
          encoded,
        ),
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
          through(decoders({ compression: compression.kind, identities, threads: 1, limit }), half),
          `${cut} bytes cut off`,
        );
      }
      const flipped = Buffer.from(encoded);
      flipped[Math.floor(flipped.length / 2)] = (flipped[Math.floor(flipped.length / 2)] ?? 0) ^ 1;
      const decoded = await through(
        decoders({ compression: compression.kind, identities, threads: 1, limit }),
        flipped,
      ).catch(() => undefined);
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

describe('an encoder', () => {
  for (const compression of [
    { kind: 'xz', level: 9, threads: 2 },
    { kind: 'zstd', level: 15, threads: 2 },
  ] as const)
    it(`of ${compression.kind} keeps the event loop from nothing while it compresses, and ends at once when it is told to`, async () => {
      const [encoder] = encoders({ compression, recipients: [] });
      assert.ok(encoder !== undefined);
      const stop = new AbortController();
      const fed = Promise.withResolvers<void>();
      async function* blocks(): AsyncGenerator<Buffer> {
        // Two blocks at work of which each takes seconds, one that is held, and the beginning of a fourth.
        const bytes = 3 * (compression.kind === 'xz' ? xzBlockBytes(compression.level) : blockBytes.zstd) + 2 ** 20;
        for (let at = 0; at < bytes; at += 512 * 1024) yield tedious(512 * 1024);
        fed.resolve();
      }
      const nowhere = new Writable({ write: (_chunk, _encoding, callback) => callback() });
      const delays = monitorEventLoopDelay({ resolution: 10 });
      delays.enable();
      const work = pipeline([Readable.from(blocks()), encoder, nowhere], { signal: stop.signal });
      await fed.promise;
      const closed = new Promise((resolve) => encoder.once('close', resolve));
      const stoppedAt = performance.now();
      stop.abort();
      await assert.rejects(work);
      await closed;
      delays.disable();
      // A busy machine takes its time; liblzma's own threads do to the end what they have, which takes many times that.
      assert.ok(performance.now() - stoppedAt < 2_000, `${performance.now() - stoppedAt} ms`);
      assert.ok(delays.max / 1e6 < 1_000, `the event loop stood still for ${delays.max / 1e6} ms`);
    });

  it('of several threads has work for each of them at the end', async () => {
    using folder = temporaryDirectory();
    const file = path.join(folder.path, 'object.xz');
    const blocksOf = async (bytes: number): Promise<readonly number[]> => {
      const compression = { kind: 'xz', level: 3, threads: 4 } as const;
      writeFileSync(file, await through(encoders({ compression, recipients: [] }), Buffer.alloc(bytes)));
      const listed = execFileSync('xz', ['--robot', '--list', '--verbose', file], { encoding: 'utf8' });
      const blocks = listed.split('\n').filter((line) => line.startsWith('block\t'));
      return blocks.map((block) => Number(block.split('\t')[7]));
    };
    const mib = 2 ** 20;
    assert.deepEqual(await blocksOf(28 * mib), [8 * mib, 8 * mib, ...Array<number>(8).fill(1.5 * mib)]);
    assert.deepEqual(await blocksOf(8 * mib + 5), [...Array<number>(7).fill(mib + 1), mib - 2]);
    assert.deepEqual(await blocksOf(7 * mib), [7 * mib]);
    assert.equal(xzBlockBytes(6), 12 * mib, 'the level that backups have');
  });

  for (const level of [4, 5, 6, 9])
    it(`of xz at level ${level} writes what stock xz decodes, from level 5 on with less memory than what it writes itself`, async () => {
      using folder = temporaryDirectory();
      const content = sample(200_000);
      const memory = (file: string): number => {
        const listed = execFileSync('xz', ['--robot', '--list', '-vv', file], { encoding: 'utf8' });
        return Number(/^summary\t(\d+)/m.exec(listed)?.[1]);
      };
      const [ours, theirs] = [path.join(folder.path, 'ours.xz'), path.join(folder.path, 'theirs.xz')];
      writeFileSync(
        ours,
        await through(encoders({ compression: { kind: 'xz', level, threads: 2 }, recipients: [] }), content),
      );
      writeFileSync(theirs, execFileSync('xz', [`-${level}`, '-c'], { input: content, ...big }));
      assert.ok(execFileSync('xz', ['-d', '-c', ours], big).equals(content));
      const [less, more] = [memory(ours), memory(theirs)];
      assert.ok(level === 4 ? less === more : less < more && less > 2 ** 20, `${less} bytes against ${more}`);
    });

  it('of zstd makes frames that tell their size, side by side, and a frame of nothing', async () => {
    using folder = temporaryDirectory();
    const compression = { kind: 'zstd', level: 12, threads: 2 } as const;
    const file = path.join(folder.path, 'object.zst');
    const list = (): string =>
      execFileSync('zstd', ['--list', '-v', file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    writeFileSync(
      file,
      await through(encoders({ compression, recipients: [] }), Buffer.alloc(3 * blockBytes.zstd + 17)),
    );
    assert.match(list(), /Zstandard Frames: 6\n.*\n.*\nDecompressed Size: .*\(25165841 B\)\n/s);
    assert.match(list(), /Check: XXH64/);
    writeFileSync(file, await through(encoders({ compression, recipients: [] }), Buffer.alloc(0)));
    assert.match(list(), /Zstandard Frames: 1\n/);
  });

  it('names the library that is loaded, and not the one that it was compiled against', () => {
    const report: unknown = process.report?.getReport();
    assert.ok(typeof report === 'object' && report !== null && 'sharedObjects' in report);
    const { sharedObjects } = report;
    assert.ok(Array.isArray(sharedObjects));
    const shared = sharedObjects.find((name) => String(name).includes('/liblzma.so'));
    // Without one of the system's it is the one that the package brings.
    const version = shared === undefined ? '5.2.3' : /\.so\.(\d+\.\d+\.\d+)$/.exec(realpathSync(String(shared)))?.[1];
    assert.equal(compressorOf('xz'), `liblzma ${version}`);
    assert.equal(compressorOf('zstd'), `zstd ${process.versions['zstd']}`);
    assert.equal(compressorOf('none'), null);
  });

  it('writes blocks that tell their size, as xz with several threads does, so that they are decoded side by side', async () => {
    using folder = temporaryDirectory();
    const compression = { kind: 'xz', level: 0, threads: 2 } as const;
    const file = path.join(folder.path, 'object.xz');
    const content = sample(3 * xzBlockBytes(0) + 17);
    writeFileSync(file, await through(encoders({ compression, recipients: [] }), content));
    const listed = execFileSync('xz', ['--robot', '--list', '--verbose', '--verbose', file], { encoding: 'utf8' });
    const blocks = listed.split('\n').filter((line) => line.startsWith('block\t'));
    assert.equal(blocks.length, 3);
    // Its header's flags: compressed and uncompressed size are there.
    for (const block of blocks) assert.equal(block.split('\t')[12], 'cu');
  });
});
