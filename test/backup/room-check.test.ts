// What the next backup is expected to take, by what the last one took.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { expectedBytes } from '../../src/backup/room-check.ts';
import { aManifest } from '../support/manifests.ts';

it('is what the last one took, with the growth of the database since, compressed as it is going to be', () => {
  const base = aManifest();
  const [dump] = base.parts;
  assert.ok(dump !== undefined);
  const last = { ...base, parts: [{ ...dump, bytes: 1_000, content: { bytes: 4_000, sha256: '' } }] };
  const { sizeBytes } = last.database;
  const expected = (compression: string, databaseBytes: number) => expectedBytes(last, { compression, databaseBytes });
  assert.equal(expected('xz', sizeBytes), 1_000);
  assert.equal(expected('xz', 2 * sizeBytes), 2_000);
  // What was removed from the database need not fit again.
  assert.equal(expected('xz', sizeBytes / 4), 250);
  assert.equal(expected('none', sizeBytes), 4_000);
  assert.equal(expected('xz', 0), 1_000, 'a size that is not known says nothing');
});
