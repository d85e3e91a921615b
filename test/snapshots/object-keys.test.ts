import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { createSnapshotId, isSnapshotId, parseKey, partKey } from '../../src/snapshots/object-keys.ts';
import { folders } from '../../src/schedule/tier.ts';

const suffixes = ['.json', '.dump', '.dump.xz', '.dump.zst', '.dump.xz.age', '.dump.age', '.secrets.env.age'];
const prefixes = fc.constantFrom('', 'social.example/', 'a/b/');
const dates = fc.date({ min: new Date('2000-01-01'), max: new Date('2200-01-01'), noInvalidDate: true });

it('what is built is parsed back to what it was built from', () => {
  fc.assert(
    fc.property(
      prefixes,
      fc.constantFrom(...folders),
      dates,
      fc.constantFrom(...suffixes),
      (prefix, folder, date, suffix) => {
        const id = createSnapshotId(date);
        const parsed = parseKey(partKey(prefix, { tier: folder, name: `${id}${suffix}` }), { prefix });
        assert.ok(parsed);
        assert.deepEqual([parsed.folder, parsed.id, parsed.suffix], [folder, id, suffix]);
        assert.equal(parsed.startedAt.getTime(), Math.floor(date.getTime() / 1_000) * 1_000);
      },
    ),
  );
});

it('nothing that we cannot have written is taken for ours', () => {
  for (const key of [
    'daily/2023-12-29.sql.xz',
    'daily/2026-11-23T120000Z-4f1c2a.dump.xz.bak',
    'daily/2026-11-23T120000Z-4f1c2a.dump.gz',
    'daily/2026-13-23T120000Z-4f1c2a.dump.xz',
    'daily/2026-02-30T120000Z-4f1c2a.dump.xz',
    'daily/2026-11-23T120000Z-4F1C2A.dump.xz',
    'daily/2026-11-23T120000Z-4f1c2.dump.xz',
    'daily/sub/2026-11-23T120000Z-4f1c2a.dump.xz',
    'other/2026-11-23T120000Z-4f1c2a.dump.xz',
    'drills/2026-11-23T120000Z-4f1c2a.json',
    'x/daily/2026-11-23T120000Z-4f1c2a.json',
    'daily/2026-11-23T120000Z-4f1c2a.json\n',
  ]) {
    assert.equal(parseKey(key, { prefix: '' }), undefined, key);
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      const parsed = parseKey(text, { prefix: '' });
      if (parsed !== undefined)
        assert.equal(partKey('', { tier: parsed.folder, name: `${parsed.id}${parsed.suffix}` }), text);
    }),
  );
  assert.equal(isSnapshotId('latest'), false);
});
