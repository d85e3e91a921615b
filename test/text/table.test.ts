import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { formatTable, plural, wrap } from '../../src/text/table.ts';

it('columns are aligned, and no line ends in blanks', () => {
  assert.equal(
    formatTable([
      ['A', 'BB', 'C'],
      ['aaa', 'b', ''],
    ]),
    'A    BB  C\naaa  b\n',
  );
});

it('the last cell is broken under itself where the terminal ends, and stays whole where there is none', () => {
  const rows = [['doctor', 'one two three four five six seven']];
  assert.equal(formatTable(rows), 'doctor  one two three four five six seven\n');
  assert.equal(formatTable(rows, { columns: 30 }), 'doctor  one two three four\n        five six seven\n');
  assert.equal(formatTable(rows, { columns: 24 }), 'doctor\n    one two three four\n    five six seven\n');
});

it('cells for which there is no room stand under the first', () => {
  const rows = [
    ['SNAPSHOT', 'AT', 'AGE', 'STORED'],
    ['daily/2026-11-23', '23 Nov', 'just now', '1.0 MiB', 'pinned, "before the upgrade"'],
  ];
  assert.equal(
    formatTable(rows, { columns: 28 }),
    'SNAPSHOT          AT\n    AGE       STORED\ndaily/2026-11-23  23 Nov\n    just now  1.0 MiB\n    pinned, "before the\n    upgrade"\n',
  );
});

it('no line is longer than the terminal unless one word is, and no word is lost', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 60 }), { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 30, max: 100 }),
      (texts, columns) => {
        const text = texts.join(' ').trim().replaceAll(/ +/g, ' ');
        const table = formatTable([['name', text]], { columns });
        assert.equal(table.trim().split(/\s+/).join(' '), `name ${text}`.trim());
        const longestWord = Math.max(...text.split(' ').map(({ length }) => length));
        for (const line of table.split('\n')) assert.ok(line.length <= Math.max(columns, longestWord + 6), line);
      },
    ),
  );
  assert.equal(wrap('a /a/very/long/path b', { columns: 10, indent: 2 }), 'a\n  /a/very/long/path\n  b');
});

it('one is not several', () => {
  assert.deepEqual(
    [plural(1, 'snapshot'), plural(0, 'snapshot'), plural(2, 'key', 'keys')],
    ['1 snapshot', '0 snapshots', '2 keys'],
  );
});
