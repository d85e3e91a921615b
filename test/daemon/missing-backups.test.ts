// Backups that were made and listed, and are not there any more: what is due is made again, and no restart is needed for that.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createEnvironment } from '../../src/config/environment.ts';
import { readSettings } from '../../src/config/settings.ts';
import { runScheduleLoop, type ScheduleLoopOptions } from '../../src/daemon/schedule-loop.ts';
import type { RunReport } from '../../src/app/run-verb.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { unlessAborted } from '../../src/stream/abortable.ts';
import { aManifest } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';

it('a daemon whose backups were all removed makes one at once, one where a store lists it late, and one where they go again', async () => {
  const { settings } = readSettings(createEnvironment({ BACKUP_LOCAL_DIR: '/backups' }, { uid: 0 }));
  assert.ok(settings !== null);
  const life = new AbortController();
  let now = Date.parse('2026-11-24T12:30:00Z');
  let stored: readonly Manifest[] = [];
  let listed: readonly Manifest[] = [];
  let looks = 0;
  const runs: number[] = [];
  const app: ScheduleLoopOptions['app'] = {
    log: quietLog,
    timetable: () => ({ schedules: settings.schedules, timeZone: 'UTC' }),
    tidyScratch: async () => undefined,
    waitForDatabase: async () => undefined,
    mend: async () => false,
    placesChanged: async (signal) =>
      unlessAborted(new Promise<never>(() => undefined), { signal }).catch(() => undefined),
    async lookAround() {
      looks += 1;
      // At the tenth look everything is gone, and later once more; what is made is listed up to two looks later.
      if (looks === 10 || looks === 20) stored = listed = [];
      const shown = listed;
      if (looks % 3 === 0) listed = stored;
      if (looks === 30) life.abort();
      return { snapshots: shown, error: null, troubles: [] };
    },
    async runScheduled({ tier, slot }) {
      runs.push(looks);
      stored = [{ ...aManifest({ tier, dataAt: new Date(now), slot }), committedAt: new Date(now) }, ...stored];
      return { outcomes: [{ kind: 'stored' }] } as unknown as RunReport;
    },
  };
  const clock: ScheduleLoopOptions['clock'] = {
    now: () => new Date(now),
    random: () => 0,
    async waitUntil() {
      now += 60_000;
    },
  };
  const report = async (): Promise<void> => undefined;
  const options = { app, clock, startedAt: clock.now(), yieldPauseMs: 1, report, onIdle: () => undefined };
  await runScheduleLoop({ ...options, signal: life.signal }).catch((error: unknown) => {
    if (!life.signal.aborted) throw error;
  });
  assert.deepEqual(runs, [1, 10]);
});
