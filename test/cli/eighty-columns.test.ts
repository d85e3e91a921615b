// What is read on a terminal of 80 columns fits it, with times in the zone that was set; what is piped stays on its lines.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderHealth } from '../../src/cli/health-command.ts';
import { renderCatalogue } from '../../src/cli/reading-commands.ts';
import { AppError } from '../../src/errors.ts';
import { describeFailure } from '../../src/cli/program.ts';
import { renderDrill } from '../../src/cli/drill-command.ts';
import { renderPrune } from '../../src/cli/retention-commands.ts';
import type { Health } from '../../src/health/assess.ts';
import type { Catalogue } from '../../src/snapshots/catalogue.ts';
import { aManifest } from '../support/manifests.ts';

const timeZone = 'Europe/Berlin';
const now = new Date('2026-11-23T18:00:00Z');
const gib = 2 ** 30;
const large = (dataAt: string, more: object = {}) => {
  const made = aManifest({ dataAt, ...more });
  return { ...made, parts: made.parts.map((part) => ({ ...part, bytes: 12.3 * gib, encryption: 'age' as const })) };
};
const daily = large('2026-11-23T12:00:00.000Z');
const labelled = large('2026-03-01T09:30:00.000Z', { tier: 'labelled', label: 'before the upgrade to 4.6' });
const monthly = aManifest({ dataAt: '2026-11-01T14:00:00.000Z', tier: 'monthly' });

const catalogue: Catalogue & { readonly place: string } = {
  place: "bucket 'social-example-backups' at https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com",
  snapshots: [daily, monthly, labelled],
  withoutSecrets: [],
  withoutExtra: [],
  damaged: [
    { manifest: aManifest(), reason: 'its object has 1234567890 bytes instead of 2345678901, as its manifest says' },
  ],
  unreadable: [],
  unsigned: [],
  signedByOthers: [],
  pinned: [{ tier: 'labelled', id: labelled.id }],
  orphans: [],
  foreign: [],
  unlisted: [],
};

// A path or an address that is longer than the line stays whole: it is to be copied.
function assertFits(text: string): void {
  for (const line of text.split('\n'))
    assert.ok(line.length <= 80 || !line.trim().includes(' '), `${line.length}: ${line}`);
}

describe('at 80 columns', () => {
  it('list says age, encryption and size, in the zone that was set', () => {
    const text = renderCatalogue(catalogue, { columns: 80, timeZone, now });
    assertFits(text);
    const id = (one: { readonly id: string }): string => one.id;
    assert.deepEqual(text.split('\n').slice(0, 5), [
      'SNAPSHOT                            AT CET        AGE       ENCRYPTED  STORED',
      `daily/${id(daily)}     23 Nov 13:00  6 h       age        12.3 GiB`,
      `monthly/${id(monthly)}   01 Nov 15:00  3 weeks   NO         7 B`,
      `labelled/${id(labelled)}  01 Mar 10:30  8 months  age        12.3 GiB`,
      '    pinned, "before the upgrade to 4.6"',
    ]);
    assert.match(text, /Damaged, count for nothing:/);
  });

  it('prune says for each snapshot of a tier why it stays or goes', () => {
    const verdicts = [
      { snapshot: daily, keep: true, reason: '0 d before the newest, kept for 7d' },
      { snapshot: labelled, keep: false, reason: '267 d before the newest, over 6mo' },
    ];
    const plan = {
      verdicts,
      holds: [{ tier: null, reason: 'our clock is 10 min ahead of the store’s', remedy: 'Set the clock of the host.' }],
      remove: [labelled],
    };
    const text = renderPrune([{ place: catalogue.place, plan, removed: [], error: null }], {
      dryRun: true,
      columns: 80,
      timeZone,
    });
    assertFits(text);
    assert.match(
      text,
      /^ {2}daily, named by their time in UTC\n {2}keep {4}\S+ {2}0 d before the newest, kept for 7d$/m,
    );
    assert.match(text, /^ {2}HELD: our clock/m);
    assert.match(text, /^ {2}remove {2}\S+ {2}267 d before the newest, over 6mo$/m);
    const piped = renderPrune([{ place: catalogue.place, plan, removed: [], error: null }], { dryRun: true, timeZone });
    assert.match(
      piped,
      /^ {2}keep +daily +Mon 2026-11-23 13:00 CET +\S+ +12\.3 GiB +0 d before the newest, kept for 7d$/m,
    );
  });

  it('a drill has a check a line, what goes on is set in, with its moments in the zone', () => {
    const checks = [
      {
        check: 'ids',
        status: 'ok',
        detail: 'timestamp_id gives ascending ids for accounts, media_attachments, statuses, and all others too',
        remedy: null,
      },
      {
        check: 'newest post',
        status: 'failed',
        detail: 'of 2026-11-23T22:26:08.145Z, after the snapshot, whose data is of 2026-11-23T12:00:00.000Z and older',
        remedy: 'Look at the clock of the database server, and run a new backup: mastodon-backup run daily.',
      },
    ] as const;
    const report = {
      snapshot: 'daily/2026-11-23T120000Z-4f1c2a',
      serverVersion: '15.18 (Debian 15.18-0+deb12u1)',
      durationMs: 13_000,
      status: 'failed',
      checks,
    } as const;
    const text = renderDrill(report, { program: 'mastodon-backup', columns: 80, timeZone });
    assertFits(text);
    assert.match(text, /^ {2}ok {5}ids: timestamp_id .*\n {9}\S/m);
    assert.match(text, /^ {2}FAILED newest post: of 2026-11-23 23:26 CET/m);
    assert.match(text, /^ {11}mastodon-backup run daily$/m);
  });

  it('a failure breaks between words, with its moments in the zone', () => {
    const error = new AppError(
      'locked',
      "Another run holds the lock: 'run daily' since 2026-11-23T20:02:23.835Z (process 13603)",
      { hint: 'Wait until it has ended, or see what it does with: mastodon-backup status --watch.' },
    );
    const how = { redact: (told: string) => told, program: 'docker compose exec backup mastodon-backup', timeZone };
    const text = describeFailure(error, { ...how, columns: 80 });
    assertFits(text);
    assert.match(text.replaceAll(/\s+/g, ' '), /since 2026-11-23 21:02 CET/);
    assert.match(text, /\n {4}docker compose exec backup mastodon-backup status --watch\n$/);
    assert.equal(describeFailure(error, how).split('\n').length, 3, 'piped, it is a line and the command');
  });

  it('health says every moment in the zone, those of its warnings too', () => {
    const health: Health = {
      status: 'late',
      healthy: false,
      tiers: {
        daily: { lastSuccessAt: '2026-11-23T12:00:00.000Z', deadlineAt: '2026-11-24T14:10:00.000Z', lastFailure: null },
      },
      drill: { status: 'passed', lastSuccessAt: null, durationMs: 1, snapshot: null },
      running: { command: 'run daily', tier: 'daily', since: '2026-11-23T17:59:00.000Z' },
      drilling: null,
      warnings: [
        'The last daily run failed at 2026-11-22T12:00:00.123Z: the database was not there, and nobody knows why',
      ],
    } as Partial<Health> as Health;
    const text = renderHealth(health, { columns: 80, timeZone });
    assertFits(text);
    assert.doesNotMatch(text, /\dZ\b|UTC/);
    assert.match(text, /daily +last 2026-11-23 13:00 CET, next due by 2026-11-24 15:10 CET/);
    assert.match(text, /^ {2}warning: The last daily run failed at 2026-11-22 13:00 CET/m);
  });
});
