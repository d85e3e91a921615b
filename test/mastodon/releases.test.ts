import assert from 'node:assert/strict';
import { it } from 'node:test';
import { releaseOf } from '../../src/mastodon/releases.ts';

it('the newest migration tells the release', () => {
  assert.equal(releaseOf(['20241007071624']), '4.3');
  assert.equal(releaseOf(['20250627132728']), '4.4');
  assert.equal(releaseOf(['20241007071624', '20251023210145']), '4.5');
  assert.equal(releaseOf(['20260611150940']), '4.6');
});

it('a version between two releases is of the older one, and one before all known is of none', () => {
  assert.equal(releaseOf(['20251101000000']), '4.5');
  assert.equal(releaseOf(['20190927232842']), null);
  assert.equal(releaseOf([]), null);
});

it("a fork's own newer migrations do not make it a newer release", () => {
  const ofUpstream = Array.from({ length: 400 }, (_, index) => String(20_170_000_000_000 + index));
  assert.equal(releaseOf([...ofUpstream, '20241007071624', '20260101000000']), '4.3');
  assert.equal(releaseOf([...ofUpstream, '20260101000000']), null, 'a fork of something older than all that are known');
});
