// Bombs: objects of a few bytes that become very many, and floods of what nobody signed. Each is refused for what it is, before it
// fills the memory; what is good beside them is listed as ever.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32, zstdCompressSync } from 'node:zlib';
import { createOneRunKey, decryptDocument } from '../../src/codec/age.ts';
import { decoders, encoders, type CompressionName } from '../../src/codec/codec.ts';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { createArchiveReader } from '../../src/database/archive-reader.ts';
import { readCatalogue } from '../../src/snapshots/catalogue.ts';
import { commit } from '../../src/snapshots/destination.ts';
import { decodeManifest, dumpOf, encodeManifest, snapshotName } from '../../src/snapshots/manifest.ts';
import { manifestKey, partKey } from '../../src/snapshots/object-keys.ts';
import { signatureKey } from '../../src/snapshots/origin.ts';
import { readDump } from '../../src/snapshots/part-reader.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createSignature } from '../../src/snapshots/sshsig.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { ObjectKey, RemovableStore, StoredObject } from '../../src/storage/store.ts';
import { aManifest, putSnapshot } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const mib = 1024 * 1024;
const signal = AbortSignal.timeout(1_800_000);

async function through(chain: Parameters<typeof pipeline>[0] & readonly unknown[], content: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await pipeline([
    Readable.from([content]),
    ...(chain as readonly NodeJS.ReadWriteStream[]),
    async (source: AsyncIterable<Buffer>) => {
      for await (const chunk of source) chunks.push(chunk);
    },
  ]);
  return Buffer.concat(chunks);
}

/** Decodes what an object holds, of which `bytes` bytes are wanted. */
async function decode(content: Buffer, compression: CompressionName, bytes: number): Promise<Buffer> {
  const limit = { bytes, excess: () => new Error('too much') };
  return through(decoders({ compression, identities: null, threads: 2, limit }), content);
}

// Not `resourceUsage().maxRSS`, which begins with what the process had that started this one.
const peakOfChild =
  "Number(/VmHWM:\\s+(\\d+) kB/.exec(process.getBuiltinModule('node:fs').readFileSync('/proc/self/status', 'utf8'))[1]) * 1024";

describe('an object that becomes more than its manifest says', () => {
  const zeros = Buffer.alloc(8 * mib);
  const kinds = {
    'xz, in one piece': {
      compression: 'xz',
      make: (): Buffer => execFileSync('xz', ['-0', '-T1', '-c'], { input: zeros }),
    },
    'xz, in blocks': {
      compression: 'xz',
      make: async (): Promise<Buffer> =>
        through(encoders({ compression: { kind: 'xz', level: 0, threads: 1 }, recipients: [] }), zeros),
    },
    zstd: {
      compression: 'zstd',
      make: async (): Promise<Buffer> =>
        through(encoders({ compression: { kind: 'zstd', level: 1, threads: 1 }, recipients: [] }), zeros),
    },
    'not compressed': { compression: 'none', make: (): Buffer => zeros },
  } as const;
  for (const [name, { compression, make }] of Object.entries(kinds))
    it(`is refused before whoever takes it has more: ${name}`, async () => {
      using folder = temporaryDirectory();
      const store = createLocalStore({ directory: folder.path });
      const repository = createRepository(store);
      const content = await make();
      const manifest = aManifest();
      const part = {
        ...dumpOf(manifest),
        compression,
        bytes: content.length,
        sha256: createHash('sha256').update(content).digest('hex'),
        content: { bytes: 3 * mib, sha256: '0'.repeat(64) },
      };
      await store.putDocument(partKey('', { tier: manifest.tier, name: part.name }), content, { signal });
      let taken = 0;
      const to = new Writable({
        write(chunk: Buffer, _encoding, callback) {
          taken += chunk.length;
          callback();
        },
      });
      const options = { identities: null, threads: 2, inspector: { push: () => undefined }, to, log: quietLog, signal };
      await assert.rejects(
        readDump({ repository, manifest: { ...manifest, parts: [part] } }, options),
        (error: Error) => {
          assert.match(error.message, /The dump inside 'daily\/.*' is not what its manifest says/);
          assert.match(String(error.cause), /more than 3145728 bytes are inside it/);
          return true;
        },
      );
      assert.ok(taken <= 3 * mib, `${taken} bytes were taken`);
    });

  it('leaves the memory alone where all of it comes out of a single piece', () => {
    // 360 MiB of 60 KiB, and nobody who takes more than the first bytes.
    const bomb = repeatBlock(execFileSync('xz', ['-0', '-T1', '-c'], { input: Buffer.alloc(12 * mib) }), 30);
    const script = `
      import { Readable } from 'node:stream';
      import { createXzDecoder } from ${JSON.stringify(new URL('../../src/codec/xz.ts', import.meta.url).href)};
      const chunks = [];
      for await (const chunk of process.stdin) chunks.push(chunk);
      const decoded = Readable.from([Buffer.concat(chunks)]).pipe(createXzDecoder({ threads: 1 }));
      let bytes = 0;
      for await (const chunk of decoded) {
        bytes += chunk.length;
        await new Promise((resolve) => setImmediate(resolve));
      }
      console.log(JSON.stringify({ bytes, rss: ${peakOfChild} }));`;
    const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { input: bomb, encoding: 'utf8' });
    assert.equal(child.status, 0, child.stderr);
    const { bytes, rss } = JSON.parse(child.stdout) as { bytes: number; rss: number };
    assert.equal(bytes, 360 * mib);
    assert.ok(rss < 280 * mib, `${rss / mib} MiB were used for ${bomb.length} bytes`);
  });
});

describe('a zstd stream of very many pieces that are almost nothing', () => {
  const magic = Buffer.from([0x28, 0xb5, 0x2f, 0xfd]);
  // No size, no checksum, and the smallest window.
  const frameHeader = Buffer.concat([magic, Buffer.from([0, 0])]);
  const emptyBlock = Buffer.alloc(3);
  const lastBlock = Buffer.from([1, 0, 0]);
  const skipped = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
  const content = zstdCompressSync(Buffer.from('the end'));
  for (const [what, stream] of [
    ['blocks without content', [frameHeader, Buffer.alloc(3_000_000 * emptyBlock.length), lastBlock, content]],
    ['frames without content', [Buffer.alloc(2_000_000 * skipped.length, skipped), content]],
  ] as const)
    it(`leaves the memory alone: ${what}`, () => {
      const script = `
        import { Readable } from 'node:stream';
        import { createZstdDecoder } from ${JSON.stringify(new URL('../../src/codec/zstd.ts', import.meta.url).href)};
        const chunks = [];
        for await (const chunk of process.stdin) chunks.push(chunk);
        let text = '';
        for await (const chunk of Readable.from([Buffer.concat(chunks)]).pipe(createZstdDecoder())) text += chunk;
        console.log(JSON.stringify({ text, rss: ${peakOfChild} }));`;
      const input = Buffer.concat(stream);
      const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], { input, encoding: 'utf8' });
      assert.equal(child.status, 0, child.stderr);
      const { text, rss } = JSON.parse(child.stdout) as { text: string; rss: number };
      assert.equal(text, 'the end');
      assert.ok(rss < 250 * mib, `${rss / mib} MiB were used for ${input.length} bytes`);
    });
});

describe('a stream that asks for more memory than any of ours', () => {
  it('is refused, with what it asks for: xz with a dictionary of 1.5 GiB', async () => {
    for (const args of [['-T1'], ['-T2', '--block-size=2000']]) {
      const content = execFileSync('xz', ['-0', ...args, '-c'], { input: Buffer.alloc(5_000, 'text ') });
      await assert.rejects(decode(withDictionary(content, 39), 'xz', 5_000), /asks for more than 72 MiB of memory/);
      assert.equal((await decode(withDictionary(content, 28), 'xz', 5_000)).length, 5_000, 'that of level 9 is taken');
    }
  });

  it('is refused: zstd with a window of 1 GiB', async () => {
    const content = execFileSync('zstd', ['-q', '-1', '--long=30', '-c'], { input: Buffer.alloc(100_000) });
    await assert.rejects(decode(content, 'zstd', 100_000), /requires too much memory/);
  });

  it('is not held until it is whole: a block of xz that says it has 4 TB', async () => {
    const content = Buffer.concat([xzHeader(), blockHeader([...encodeNumber(4e12), ...encodeNumber(1_000)])]);
    const endless = async function* (): AsyncGenerator<Buffer> {
      yield content;
      for (let at = 0; at < 200; at += 1) yield Buffer.alloc(mib, 0xff);
      throw new Error('all of it was taken');
    };
    const limit = { bytes: 1_000, excess: () => new Error('too much') };
    const chain = decoders({ compression: 'xz', identities: null, threads: 2, limit });
    await assert.rejects(
      pipeline([Readable.from(endless()), ...chain, new Writable({ write: (_c, _e, done) => done() })]),
      (error: Error) => !error.message.includes('all of it was taken'),
    );
  });
});

describe('an age header without an end', () => {
  const beginning = Buffer.from('age-encryption.org/v1\n');
  const stanza = Buffer.from(`-> X25519 ${'A'.repeat(43)}\n${'A'.repeat(43)}\n`);
  const headers = {
    'of many stanzas': Buffer.concat([beginning, ...Array.from({ length: 4_000 }, () => stanza)]),
    'of one line': Buffer.concat([beginning, Buffer.from('-> '), Buffer.alloc(mib, 65)]),
    'whose last line does not end': Buffer.concat([beginning, stanza, Buffer.from('--- '), Buffer.alloc(mib, 65)]),
  };
  for (const [name, header] of Object.entries(headers))
    it(`is not given to the library: ${name}`, async () => {
      const { identity } = await createOneRunKey([]);
      const limit = { bytes: 1_000, excess: () => new Error('too much') };
      const chain = decoders({ compression: 'none', identities: [identity], threads: 1, limit });
      await assert.rejects(through(chain, header), /The age header has more than 256 KiB/);
      await assert.rejects(decryptDocument(header, [identity]), /The age header has more than 256 KiB/);
    });
});

describe('a table of contents that is a bomb', () => {
  const integer = (value: number): Buffer => {
    const bytes = Buffer.alloc(5);
    bytes.writeUInt8(value < 0 ? 1 : 0);
    bytes.writeUInt32LE(Math.abs(value), 1);
    return bytes;
  };
  const text = (value: string): Buffer => Buffer.concat([integer(value.length), Buffer.from(value)]);
  const head = (entries: number): Buffer =>
    Buffer.concat([
      Buffer.from([...Buffer.from('PGDMP'), 1, 15, 0, 4, 8, 1, 0]),
      ...Array.from({ length: 7 }, () => integer(0)),
      text('database'),
      text('18.0'),
      text('18.0'),
      integer(entries),
    ]);

  it('is refused at the length of a text of 1 GB', () => {
    const reader = createArchiveReader();
    const entry = [integer(1), integer(0), text('1'), text('2'), integer(1_000_000_000)];
    assert.throws(() => reader.push(Buffer.concat([head(1), ...entry])), /String of 1000000000 bytes/);
  });

  it('is refused where all of its texts together are too much', () => {
    const reader = createArchiveReader();
    reader.push(head(1_000_000));
    const long = Buffer.alloc(50 * mib, 97);
    const none = integer(-1);
    const entry = (dumpId: number): readonly Buffer[] => [
      Buffer.concat([integer(dumpId), integer(0), text('1'), text('2'), text('name'), text('VIEW'), integer(1)]),
      integer(long.length),
      long,
      Buffer.concat([none, none, text('public'), none, none, none, none, none, Buffer.alloc(9)]),
    ];
    assert.throws(() => {
      for (let dumpId = 1; dumpId < 4; dumpId += 1) for (const bytes of entry(dumpId)) reader.push(bytes);
    }, /The table of contents has more than 128 MiB/);
  });
});

describe('a document that is a bomb', () => {
  it('is unreadable when it is nested deeper than any of ours, and hides no other', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const good = await putSnapshot(store);
    const manifest = aManifest({ dataAt: '2026-01-02T00:00:00.000Z' });
    const deep = `{"later":${'['.repeat(100_000)}${']'.repeat(100_000)},`;
    const content = Buffer.from(`${deep}${encodeManifest(manifest).toString().slice(1)}`);
    await store.putDocument(manifestKey('', manifest), content, { signal });
    const { snapshots, unreadable } = await readCatalogue(createRepository(store), { signal });
    assert.deepEqual(snapshots.map(snapshotName), [snapshotName(good)]);
    assert.match(unreadable[0]?.reason ?? '', /nested more than 64 deep/);
    assert.equal(decodeManifest(Buffer.from('['.repeat(1_000_000))).kind, 'unreadable');
    const brackets = { ...manifest, label: `"${'[{'.repeat(1_000)}\\"` };
    assert.equal(decodeManifest(encodeManifest(brackets)).kind, 'manifest', 'in a text they are none');
  });

  it('is not written when it would not be read again: the rows of 30,000 tables', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const manifest = aManifest();
    const rows = Object.fromEntries(Array.from({ length: 30_000 }, (_, n) => [`public.partition_of_a_table_${n}`, n]));
    const destination = {
      repository: createRepository(store),
      key: partKey('', { tier: 'daily', name: dumpOf(manifest).name }),
    };
    await assert.rejects(
      commit(destination as Parameters<typeof commit>[0], {
        manifest: { ...manifest, database: { ...manifest.database, rows } },
        method: 'full',
        committedAt: manifest.committedAt,
        now: () => manifest.committedAt,
        signal,
        log: quietLog,
      }),
      /the rows of 30000 tables make it larger than 1048576 bytes/,
    );
    assert.equal(await store.head(manifestKey('', manifest), { signal }), null);
  });
});

describe('a flood', () => {
  it('of what nobody signed is held up to a limit, and hides nothing of ours', async () => {
    using folder = temporaryDirectory();
    const store = createLocalStore({ directory: folder.path });
    const key = parsePrivateKey(createSigningKey('ours').file);
    const good = await putSnapshot(store);
    const signed = createSignature(encodeManifest(good), key);
    await store.putDocument(signatureKey(manifestKey('', good)), Buffer.from(signed), { signal });
    mkdirSync(path.join(folder.path, 'daily'), { recursive: true });
    const floods = 40;
    for (let at = 0; at < floods; at += 1) {
      const label = 'x'.repeat(mib - 10_000);
      const forged = aManifest({ dataAt: new Date(Date.UTC(2026, 1, 1, at)), label });
      writeFileSync(path.join(folder.path, manifestKey('', forged)), encodeManifest(forged));
    }
    const repository = createRepository(store, { signing: { key, trusted: [key.publicKey] } });
    const { snapshots, unsigned, unreadable } = await readCatalogue(repository, { signal });
    assert.deepEqual(snapshots.map(snapshotName), [snapshotName(good)]);
    assert.equal(unsigned.length + unreadable.length, floods);
    assert.ok(unreadable.length >= 8, `${unreadable.length} were not held`);
    for (const { reason } of unreadable) assert.match(reason, /is not signed, and there is too much of that/);
  });

  it('of objects ends the listing of its folder, and is said', async () => {
    using folder = temporaryDirectory();
    const real = createLocalStore({ directory: folder.path });
    const good = await putSnapshot(real, { tier: 'weekly' });
    const flooded: RemovableStore = {
      ...real,
      list(prefix, options) {
        return prefix === 'daily/' ? flood() : real.list(prefix, options);
      },
    };
    async function* flood(): AsyncGenerator<StoredObject> {
      for (let at = 0; ; at += 1) {
        assert.ok(at < 400_000, 'all of it was listed');
        yield { key: `daily/${at}` as ObjectKey, bytes: 0, modifiedAt: new Date(0), etag: null };
      }
    }
    const { snapshots, unlisted } = await readCatalogue(createRepository(flooded), { signal });
    assert.deepEqual(snapshots.map(snapshotName), [snapshotName(good)]);
    assert.match(unlisted.map(({ reason }) => reason).join(), /holds more than 250000 objects/);
  });
});

function xzHeader(): Buffer {
  const flags = Buffer.from([0, 4]);
  return Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]), flags, littleEndian(crc32(flags))]);
}

// The header of a block with both sizes and LZMA2.
function blockHeader(sizes: readonly number[]): Buffer {
  const fields = [0, 0xc0, ...sizes, 0x21, 1, 22];
  const header = Buffer.alloc(Math.ceil(fields.length / 4) * 4);
  header.set(fields);
  header.writeUInt8((header.length + 4) / 4 - 1, 0);
  return Buffer.concat([header, littleEndian(crc32(header))]);
}

// Every block of a stream with another size of the dictionary in its header, as its property says it.
function withDictionary(stream: Buffer, property: number): Buffer {
  const patched = Buffer.from(stream);
  for (let at = 12; (patched[at] ?? 0) !== 0;) {
    const bytes = ((patched[at] ?? 0) + 1) * 4;
    const filter = patched.indexOf(Buffer.from([0x21, 0x01]), at + 1);
    patched.writeUInt8(property, filter + 2);
    patched.writeUInt32LE(crc32(patched.subarray(at, at + bytes - 4)), at + bytes - 4);
    // Of a stream with sizes the next block follows; without them there is one.
    if ((patched[at + 1] ?? 0) === 0) break;
    const { value } = decodeNumber(patched, at + 2);
    at += bytes + Math.ceil(value / 4) * 4 + 8;
  }
  return patched;
}

// A stream of one block without sizes, with that block so many times.
function repeatBlock(stream: Buffer, times: number): Buffer {
  const indexBytes = (stream.readUInt32LE(stream.length - 8) + 1) * 4;
  const block = stream.subarray(12, stream.length - 12 - indexBytes);
  const index = stream.subarray(stream.length - 12 - indexBytes, stream.length - 12);
  const unpadded = decodeNumber(index, 2);
  const record = index.subarray(2, decodeNumber(index, unpadded.next).next);
  const content = Buffer.concat([
    Buffer.from([0, ...encodeNumber(times)]),
    ...Array.from({ length: times }, () => record),
  ]);
  const whole = Buffer.concat([content, Buffer.alloc(Math.ceil(content.length / 4) * 4 - content.length)]);
  const flags = stream.subarray(6, 8);
  const footer = Buffer.concat([littleEndian((whole.length + 4) / 4 - 1), flags]);
  return Buffer.concat([
    stream.subarray(0, 12),
    ...Array.from({ length: times }, () => block),
    whole,
    littleEndian(crc32(whole)),
    littleEndian(crc32(footer)),
    footer,
    Buffer.from('YZ'),
  ]);
}

function littleEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function encodeNumber(value: number): readonly number[] {
  return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...encodeNumber(Math.floor(value / 0x80))];
}

function decodeNumber(bytes: Buffer, at: number): { readonly value: number; readonly next: number } {
  const byte = bytes[at] ?? 0;
  if (byte < 0x80) return { value: byte, next: at + 1 };
  const { value, next } = decodeNumber(bytes, at + 1);
  return { value: value * 0x80 + (byte & 0x7f), next };
}
