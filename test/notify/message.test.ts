// The texts people get, whole.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { messageFor } from '../../src/notify/message.ts';
import { drilled, failed, started, succeeded } from './events.ts';

const text = (event: Parameters<typeof messageFor>[0], timeZone = 'Europe/Berlin'): string => {
  const message = messageFor(event, { timeZone, program: 'bin/mastodon-backup' });
  assert.ok(message !== null);
  return `${message.title}\n${message.text}`;
};

describe('the message', () => {
  it('of a success says size, duration, rate, comparison, what was pruned and what comes next', () => {
    assert.equal(
      text(succeeded),
      `Daily backup of social.example done
Snapshot: daily/2026-11-23T120000Z-4f1c2a
Data of: 2026-11-23 13:00 CET (12:00 UTC)
Size: 9.6 GiB stored, 38.2 GiB dumped (+0.5 % against the last one, 1 min 6 s slower)
Took 21 min 6 s, 30.9 MiB/s
Stored and verified in bucket 'backups' at R2
Retention removed 1 older snapshot
Next run: 2026-11-24 13:00 CET (12:00 UTC)`,
    );
  });

  it('of a copy says of what', () => {
    const copy = { ...succeeded, tier: 'weekly', copiedFrom: 'daily/x', durationMs: 61_000, previous: null };
    assert.match(text(copy), /\(the first of its tier\)\nCopied from daily\/x in 1 min 1 s\n/);
  });

  it('of a dump that has shrunk, or that one destination missed, says so in its title', () => {
    assert.match(
      text({ ...succeeded, shrunk: true }),
      /^Daily .* done, but it has shrunk\n[^]*WARNING: the dump is less than half/,
    );
    const missed = {
      place: 'directory /nas',
      status: 'failed',
      error: 'no space is left',
      hint: 'Free space there',
    } as const;
    assert.match(
      text({ ...succeeded, destinations: [...succeeded.destinations, missed] }),
      /^Daily .* done, but a destination failed\n[^]*NOT stored in directory \/nas: no space is left\. Free space there/,
    );
  });

  it('has a command on a line of its own, as it is called there', () => {
    const hint = 'Look at it with: mastodon-backup prune --dry-run. If that is meant, run: mastodon-backup prune.';
    const lines = text({ ...failed, hint }, 'UTC').split('\n');
    assert.deepEqual(lines.slice(lines.indexOf('Do: Look at it with:')).slice(0, 4), [
      'Do: Look at it with:',
      '  bin/mastodon-backup prune --dry-run',
      'If that is meant, run:',
      '  bin/mastodon-backup prune',
    ]);
    assert.ok(text({ ...succeeded, warnings: [`nas: held. ${hint}`] }).includes('\n  bin/mastodon-backup prune\n'));
  });

  it('of a failure says step, reason, the next action and the last good backup', () => {
    assert.equal(
      text(failed, 'UTC'),
      `Daily backup of social.example FAILED
Step: database
Reason: The database mastodon_production at db:5432 cannot be reached: password authentication failed
Do: Check DB_USER and DB_PASS (or DATABASE_URL) against the ones Mastodon uses.
Last good backup: data of 2026-11-22 12:00 UTC
Next run: 2026-11-24 12:00 UTC`,
    );
    assert.match(text({ ...failed, lastGoodAt: null }), /There is NO good backup yet/);
  });

  it('of a drill says what was found and how long recovery takes', () => {
    assert.equal(
      text(drilled),
      `Restore drill of social.example FAILED
Snapshot: daily/2026-11-23T120000Z-4f1c2a
Time to recover: 40 min 0 s
statuses: index_statuses_on_uri has 2 duplicate keys`,
    );
  });

  it('names the day twice where the zone has another one', () => {
    assert.match(
      text({ ...failed, lastGoodAt: '2026-11-22T23:30:00.000Z' }, 'Asia/Tokyo'),
      /2026-11-23 08:30 GMT\+9 \(2026-11-22 23:30 UTC\)/,
    );
  });

  it('of a start is none', () => {
    assert.equal(messageFor(started, { timeZone: 'UTC', program: 'bin/mastodon-backup' }), null);
  });
});
