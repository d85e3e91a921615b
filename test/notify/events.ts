// Events for tests, one of each kind, and settings that name no channel.

import type { MessageSettings } from '../../src/config/messages.ts';
import type { DrillEnded, RunFailed, RunStarted, RunSucceeded } from '../../src/notify/event.ts';

/** None is set. */
export const noChannel: MessageSettings = {
  when: 'always',
  telegram: null,
  emailTo: [],
  webhookUrl: null,
  ntfyUrl: null,
  discordUrl: null,
  slackUrl: null,
  appriseUrl: null,
  gotifyUrl: null,
  matrix: null,
  pingUrl: null,
};

const base = { instance: 'social.example', at: '2026-11-23T12:21:09.000Z' } as const;

/** A run that began. */
export const started: RunStarted = { ...base, kind: 'run-started', tier: 'daily' };

/** A run that went well. */
export const succeeded: RunSucceeded = {
  ...base,
  kind: 'run-succeeded',
  tier: 'daily',
  id: '2026-11-23T120000Z-4f1c2a',
  dataAt: '2026-11-23T12:00:03.100Z',
  durationMs: 1_266_000,
  dumpBytes: 41_000_000_000,
  objectBytes: 10_300_000_000,
  copiedFrom: null,
  previous: {
    dataAt: '2026-11-22T12:00:02.000Z',
    dumpBytes: 40_900_000_000,
    objectBytes: 10_250_000_000,
    durationMs: 1_200_000,
  },
  shrunk: false,
  destinations: [{ place: "bucket 'backups' at R2", status: 'stored', error: null, hint: null }],
  prunedCount: 1,
  nextRunAt: '2026-11-24T12:00:00.000Z',
  warnings: [],
};

/** A run that failed. */
export const failed: RunFailed = {
  ...base,
  kind: 'run-failed',
  tier: 'daily',
  repeated: false,
  step: 'database',
  message: 'The database mastodon_production at db:5432 cannot be reached: password authentication failed',
  hint: 'Check DB_USER and DB_PASS (or DATABASE_URL) against the ones Mastodon uses.',
  lastGoodAt: '2026-11-22T12:00:02.000Z',
  nextRunAt: '2026-11-24T12:00:00.000Z',
};

/** A drill that failed. */
export const drilled: DrillEnded = {
  ...base,
  kind: 'drill-ended',
  status: 'failed',
  snapshot: 'daily/2026-11-23T120000Z-4f1c2a',
  durationMs: 2_400_000,
  findings: ['statuses: index_statuses_on_uri has 2 duplicate keys'],
};
