// A server that gets no fixes any more goes on working: whoever runs a doctor hears of it, in time for a quiet weekend.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { examineVersion } from '../../src/doctor/source-check.ts';

it('a server is named by doctor half a year before its last release, and from then on, with the way to a newer one', () => {
  const at = (major: number, day: string): string => {
    const [finding] = examineVersion({ serverMajor: major, serverVersion: `${major}.1` }, new Date(`${day}T12:00:00Z`));
    if (finding !== undefined) {
      assert.equal(finding.status, 'warning');
      assert.match(finding.remedy ?? '', /mastodon-backup upgrade check/);
    }
    return finding?.detail ?? '';
  };
  assert.equal(at(14, '2026-05-01'), '');
  assert.equal(at(14, '2026-06-01'), 'PostgreSQL 14.1 gets fixes only until 2026-11-12');
  // The day of the last release is still one of its days.
  assert.equal(at(14, '2026-11-12'), 'PostgreSQL 14.1 gets fixes only until 2026-11-12');
  assert.equal(at(14, '2026-11-13'), 'PostgreSQL 14.1 gets no fixes any more (last release 2026-11-12)');
  assert.equal(at(9, '2026-06-01'), 'PostgreSQL 9.1 gets no fixes any more');
  // One that came after this program.
  assert.equal(at(19, '2026-06-01'), '');
});
