// The reader against archives that the real pg_dump wrote, cut and damaged in every way.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { ArchiveError } from '../../src/database/archive-grammar.ts';
import { createArchiveReader, type ArchiveSummary } from '../../src/database/archive-reader.ts';
import { createContentsReader } from '../../src/database/archive-contents.ts';
import { createCopyLineCounter } from '../../src/database/copy-lines.ts';
import { mastodonSchema, oddities } from '../support/mastodon-schema.ts';
import { startPostgres, testPassword, type PostgresServer } from '../support/postgres-server.ts';

function read(archive: Buffer, step = archive.length): ArchiveSummary {
  const reader = createArchiveReader();
  for (let at = 0; at < archive.length; at += step) reader.push(archive.subarray(at, at + step));
  return reader.end();
}

describe('an archive in custom format', () => {
  let server: PostgresServer;
  let archive: Buffer;
  before(async () => {
    server = await startPostgres({ major: 15 });
    await server.createDatabase('small');
    await server.query(`${mastodonSchema}; ${oddities}`, 'small');
    archive = execFileSync(
      'pg_dump',
      ['-Fc', '-Z0', '-h', '127.0.0.1', '-p', String(server.port), '-U', 'postgres', 'small'],
      {
        env: { PATH: process.env['PATH'], PGPASSWORD: testPassword },
        maxBuffer: 2 ** 28,
      },
    );
  });
  after(async () => server[Symbol.asyncDispose]());

  it('tells the exact rows of every table, the odd ones included', () => {
    const { rows } = read(archive);
    assert.equal(rows['public."odd "".name"'], 5);
    assert.equal(rows['public.no_columns'], 3);
    assert.equal(rows['public.terminators'], 5);
    assert.equal(rows['public.unlogged_things'], 2);
    assert.equal(rows['other.things'], 1);
    assert.equal(rows['public.parts_2025'], 2);
    assert.equal(rows['public.statuses'], 0);
    assert.equal(rows['public.schema_migrations'], 4);
  });

  it('reads the same in pieces of every size', () => {
    const whole = read(archive);
    for (const step of [1, 2, 3, 7, 4_096, 65_537]) assert.deepEqual(read(archive, step), whole);
  });

  it('has the contents that pg_restore lists, read in pieces of every size', () => {
    const listed = execFileSync('pg_restore', ['--list'], { input: archive, encoding: 'utf8' });
    const expected = listed.split('\n').filter((line) => /^\d+;/.test(line)).length;
    for (const step of [1, 7, 4_096, archive.length]) {
      const reader = createContentsReader();
      for (let at = 0; at < archive.length; at += step) reader.push(archive.subarray(at, at + step));
      const contents = reader.contents();
      const shown = contents.filter(({ kind }) => !['ENCODING', 'STDSTRINGS', 'SEARCHPATH', 'DATABASE'].includes(kind));
      assert.equal(shown.length, expected);
      assert.ok(contents.some(({ kind, name }) => kind === 'INDEX' && name === 'index_tags_on_name_lower_btree'));
    }
    const cut = createContentsReader();
    cut.push(archive.subarray(0, 5_000));
    assert.throws(() => cut.contents(), ArchiveError);
  });

  it('is not whole wherever it is cut', () => {
    const reader = createArchiveReader();
    let intact = 0;
    for (let at = 0; at < archive.length; at += 1) {
      // One reader walks through; at every place a second opinion is asked of its end.
      reader.push(archive.subarray(at, at + 1));
      try {
        reader.end();
        intact += 1;
      } catch (error) {
        assert.ok(error instanceof ArchiveError);
      }
    }
    assert.equal(intact, 1, 'only after its last byte');
  });

  it('is refused when it is something else, or of a format to come', () => {
    assert.throws(() => read(Buffer.from('-- PostgreSQL database dump\n')), /no pg_dump archive/);
    const future = Buffer.from(archive);
    future[6] = 99;
    assert.throws(() => read(future), /format 1\.99/);
    assert.throws(() => read(Buffer.concat([archive, Buffer.from([7, 0, 1, 0, 0, 0])])), ArchiveError);
  });

  it('never hangs or crashes on damage', () => {
    fc.assert(
      fc.property(fc.nat({ max: archive.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Buffer.from(archive);
        damaged[at] = (damaged[at] ?? 0) ^ flip;
        try {
          read(damaged);
        } catch (error) {
          assert.ok(error instanceof ArchiveError, String(error));
        }
      }),
      { numRuns: 300 },
    );
  });
});

it('rows are lines before the terminator, however the data is cut', () => {
  const lines = fc.array(fc.constantFrom('', 'a\tb', '\\\\.', '\\N', '\\n', 'x\\.', '.', '\\\\'), { maxLength: 20 });
  fc.assert(
    fc.property(lines, fc.integer({ min: 1, max: 5 }), (rows, step) => {
      const data = Buffer.from(`${rows.map((row) => `${row}\n`).join('')}\\.\n\n\n`);
      const counter = createCopyLineCounter();
      for (let at = 0; at < data.length; at += step) counter.push(data.subarray(at, at + step));
      assert.equal(counter.rows(), rows.length);
      assert.ok(counter.ended());
    }),
  );
});
