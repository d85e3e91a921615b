// What Prometheus is told where clocks were wrong and where settings have changed: an alert on it must neither be silenced by a
// snapshot of next year nor ring for good for what was taken out of the settings.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { renderMetrics } from '../../src/http/metrics.ts';
import type { AttemptsRecord, SnapshotRecord } from '../../src/state/records.ts';
import { openState } from '../../src/state/state-files.ts';
import { openApp } from '../support/app.ts';
import { quietLog } from '../support/quiet-log.ts';
import { snapshotRecord } from '../support/records.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const daySeconds = 86_400;
const now = new Date('2026-11-23T13:00:00.000Z');
const nowSeconds = now.getTime() / 1_000;

/** The metrics of an instance with one destination, by name and labels. */
async function scrape({
  snapshots = [],
  attempts = {},
  settings = {},
}: {
  readonly snapshots?: readonly SnapshotRecord[];
  readonly attempts?: Partial<AttemptsRecord>;
  readonly settings?: Readonly<Record<string, string>>;
}): Promise<ReadonlyMap<string, number>> {
  using scratch = temporaryDirectory();
  const instance = 'metrics.example';
  const description = 'directory /backups';
  const state = openState({ directory: scratch.path, instance, now: () => now, log: quietLog });
  const store = {
    name: 'local',
    description,
    readAt: now.toISOString(),
    error: null,
    damagedCount: 0,
    unreadableCount: 0,
  };
  await state.updateStores(() => ({ instance, stores: [{ ...store, snapshots: [...snapshots] }] }));
  await state.updateAttempts(() => attempts);
  await using app = openApp(
    {
      LOCAL_DOMAIN: instance,
      BACKUP_LOCAL_DIR: '/backups',
      BACKUP_STATE_DIR: scratch.path,
      DB_HOST: 'db',
      ...settings,
    },
    { now: () => now },
  );
  const { text } = await renderMetrics(await app.remembered(), { toolVersion: '0' });
  return new Map(
    [...text.matchAll(/^mastodon_backup_(\S+) (\S+)$/gm)].map(([, name = '', value]) => [name, Number(value)] as const),
  );
}

const dailyAt = (days: number) => {
  const moment = new Date(now.getTime() + days * daySeconds * 1_000);
  return snapshotRecord('daily', { id: `${days}`, dataAt: moment, slot: moment });
};
const place = '{destination="local",tier="daily"}';

it('a snapshot of the future is counted as stored, and is not the newest', async () => {
  const metrics = await scrape({ snapshots: [dailyAt(400), dailyAt(-3)] });
  assert.equal(metrics.get(`last_success_timestamp_seconds${place}`), nowSeconds - 3 * daySeconds);
  assert.equal(metrics.get(`last_success_age_seconds${place}`), 3 * daySeconds);
  assert.equal(metrics.get('newest_restorable_timestamp_seconds{destination="local"}'), nowSeconds - 3 * daySeconds);
  assert.equal(metrics.get(`snapshots${place}`), 2);
  const alone = await scrape({ snapshots: [dailyAt(400)] });
  assert.equal(alone.get(`last_success_timestamp_seconds${place}`), undefined);
  assert.deepEqual([alone.get(`snapshots${place}`), alone.get('healthy')], [1, 0]);
});

it('what was taken out of the settings is told of no longer, as in health', async () => {
  const failure = { at: now.toISOString(), step: 'store', message: 'gone', hint: null };
  const attempts = {
    channels: [{ channel: 'ntfy', error: 'refused', at: now.toISOString() }],
    destinationFailures: [{ place: 'directory /backups', failure }],
  };
  const once = { snapshots: [dailyAt(0)], attempts };
  const without = await scrape(once);
  assert.deepEqual([without.get('healthy'), without.get('status{status="healthy"}')], [1, 1]);
  assert.equal(without.get('channel_ok{channel="ntfy"}'), undefined);
  assert.equal(without.get('destination_missed{destination="local"}'), 0);
  const configured = await scrape({ ...once, settings: { BACKUP_NTFY_URL: 'https://ntfy.example/topic' } });
  assert.equal(configured.get('channel_ok{channel="ntfy"}'), 0);
});
