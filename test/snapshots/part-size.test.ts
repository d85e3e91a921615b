import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import fc from 'fast-check';
import { AppError } from '../../src/errors.ts';
import { choosePartBytes, expectedObjectBytes, partBytesAgain } from '../../src/snapshots/part-size.ts';
import { createS3Store } from '../../src/storage/s3-store.ts';
import { maxObjectBytes, maxPartBytes, maxParts } from '../../src/storage/s3-limits.ts';

const mib = 2 ** 20;
const gib = 2 ** 30;
const limit = 5_000_000_000_000;
const s3 = { maxObjectBytes, maxParts };

it('the table of part sizes', () => {
  const size = (databaseBytes: number, compressed = true): number =>
    choosePartBytes({ databaseBytes, compressed, store: s3 }) / mib;
  assert.deepEqual(
    [10_000_000, 10_000_000_000, 48.9 * gib, 400 * gib, 4_000_000_000_000].map((bytes) => size(bytes)),
    [8, 8, 8, 50, 458],
  );
  assert.deepEqual(
    [10_000_000, 48.9 * gib, 400 * gib].map((bytes) => size(bytes, false)),
    [8, 21, 164],
  );
});

it('as many equal parts as the store takes always hold the object with its headroom, or the run is refused before the dump', () => {
  const anyDatabase = fc.double({ min: 0, max: 6e12, noNaN: true });
  fc.assert(
    fc.property(anyDatabase, fc.boolean(), fc.constantFrom(1_000, maxParts), (size, compressed, most) => {
      const databaseBytes = Math.floor(size);
      const expected = expectedObjectBytes(databaseBytes, { compressed });
      let partBytes: number;
      try {
        partBytes = choosePartBytes({ databaseBytes, compressed, store: { maxObjectBytes, maxParts: most } });
      } catch (error) {
        assert.ok(error instanceof AppError && error.code === 'store' && expected > limit);
        return;
      }
      assert.ok(expected <= limit);
      assert.ok(partBytes * most >= expected);
      assert.ok(partBytes >= 5 * mib && partBytes <= maxPartBytes && partBytes % mib === 0);
    }),
  );
});

it('a directory has no limit but that of 10,000 parts', () => {
  assert.ok(
    choosePartBytes({ databaseBytes: 8e12, compressed: true, store: { maxObjectBytes: null, maxParts: null } }) > 0,
  );
});

it('Scaleway takes a tenth of the parts, and is known by its host', async () => {
  const mostAt = async (endpoint: string | null): Promise<number | null> => {
    const store = createS3Store({
      bucket: 'b',
      accessKeyId: 'i',
      secretAccessKey: 's',
      region: 'fr-par',
      prefix: '',
      concurrency: 1,
      profile: 'other',
      endpoint,
    });
    await store.close();
    return store.maxParts;
  };
  assert.deepEqual(
    await Promise.all(
      [null, 'https://s3.example.com', 'https://s3.fr-par.scw.cloud', 'https://scw.cloud.example.com'].map(mostAt),
    ),
    [10_000, 10_000, 1_000, 10_000],
  );
  // What was refused at part 1,001, after hours: compressed as usual, a database of 40 GB is more than 1,000 times 8 MiB.
  const store = { maxObjectBytes, maxParts: 1_000 };
  assert.equal(choosePartBytes({ databaseBytes: 40e9, compressed: true, store }) / mib, 46);
});

it('what is stored again keeps its parts, and with them its ETag, as long as the store takes so many', () => {
  const object = { bytes: 2_000 * 8 * mib, partBytes: 8 * mib };
  assert.equal(partBytesAgain(object, { maxParts }), 8 * mib);
  assert.equal(partBytesAgain(object, { maxParts: 2_000 }), 8 * mib);
  assert.equal(partBytesAgain(object, { maxParts: 1_000 }), 16 * mib);
  assert.equal(partBytesAgain({ ...object, partBytes: null }, { maxParts: null }), 8 * mib);
});

it('is what docs/performance.md says, with what is held of it in memory', () => {
  const page = readFileSync(new URL('../../docs/performance.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| (\d+) ([GT])B +\|.*\| (\d+) MiB +\| (\d+) MiB +\| (\d+) MiB +\|$/gm)];
  assert.equal(rows.length, 4);
  for (const [, size, unit, ...told] of rows) {
    const databaseBytes = Number(size) * (unit === 'T' ? 1e12 : 1e9);
    const part = choosePartBytes({ databaseBytes, compressed: true, store: { maxObjectBytes, maxParts } }) / mib;
    // Two more than are in flight, of which there are two on R2 and four elsewhere.
    assert.deepEqual(told.map(Number), [part, 4 * part, 6 * part]);
  }
});
