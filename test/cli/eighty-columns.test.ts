// What is read on a terminal of 80 columns fits it, with times in the zone that was set; what is piped stays on its lines.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RestoreReport } from '../../src/app/restore-verb.ts';
import type { RunReport } from '../../src/app/run-verb.ts';
import { renderDrill } from '../../src/cli/drill-command.ts';
import { renderHealth } from '../../src/cli/health-command.ts';
import { renderFindings } from '../../src/cli/inspection-commands.ts';
import { settingsError } from '../../src/config/problem.ts';
import { renderPin } from '../../src/cli/pin-commands.ts';
import { describeFailure } from '../../src/cli/program.ts';
import { renderCatalogue, renderVerification } from '../../src/cli/reading-commands.ts';
import { renderRestore } from '../../src/cli/restore-text.ts';
import { renderPrune } from '../../src/cli/retention-commands.ts';
import { renderRun } from '../../src/cli/run-command.ts';
import { renderFindings as renderUpgradeFindings } from '../../src/cli/upgrade-command.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { AppError } from '../../src/errors.ts';
import type { Health } from '../../src/health/assess.ts';
import { nextSteps } from '../../src/restore/next-steps.ts';
import type { Catalogue } from '../../src/snapshots/catalogue.ts';
import type { Destination, DestinationOutcome } from '../../src/snapshots/destination.ts';
import { aManifest } from '../support/manifests.ts';

const timeZone = 'Europe/Berlin';
const program = 'docker compose exec backup mastodon-backup';
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
      program,
    });
    assertFits(text);
    assert.match(
      text,
      /^ {2}daily, named by their time in UTC\n {2}keep {4}\S+ {2}0 d before the newest, kept for 7d$/m,
    );
    assert.match(text, /^ {2}HELD: our clock/m);
    assert.match(text, /^ {2}remove {2}\S+ {2}267 d before the newest, over 6mo$/m);
    const piped = renderPrune([{ place: catalogue.place, plan, removed: [], error: null }], {
      dryRun: true,
      timeZone,
      program,
    });
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
    const text = renderHealth(health, { columns: 80, timeZone, program });
    assertFits(text);
    assert.doesNotMatch(text, /\dZ\b|UTC/);
    assert.match(text, /daily +last 2026-11-23 13:00 CET, next due by 2026-11-24 15:10 CET/);
    assert.match(text, /^ {2}warning: The last daily run failed at 2026-11-22 13:00 CET/m);
  });

  const place = catalogue.place;
  const remedy = 'See what is there with: mastodon-backup list --from local; or take the other one.';
  const command = `${program} list --from local`;
  // A command is copied as it stands: it is never broken, and nothing follows it.
  function assertReadable(text: string, ...whole: readonly string[]): void {
    const lines = text.split('\n').map((line) => line.trim());
    assertFits(
      text
        .split('\n')
        .filter((line) => !/^ *(?:docker compose|DROP) /.test(line))
        .join('\n'),
    );
    for (const one of whole) assert.ok(one.startsWith('docker') ? lines.includes(one) : text.includes(one), text);
  }

  it('run says what was stored where, and what a warning asks for', () => {
    const destination = {
      key: `daily/${daily.id}.dump.xz.age`,
      repository: { store: { description: place } },
    } as Partial<Destination> as Destination;
    const outcomes: readonly DestinationOutcome[] = [
      { kind: 'stored', destination, manifest: daily },
      {
        kind: 'failed',
        destination,
        error: new AppError('store', `'${destination.key}' in ${place}: access is denied`),
      },
    ];
    const report: RunReport = {
      id: daily.id,
      tier: 'daily',
      dataAt: daily.dataAt,
      dumpBytes: 40 * gib,
      objectBytes: 12.3 * gib,
      aheadMs: null,
      warnings: [`${place}: there are fewer than there were. ${remedy}`],
      leftOut: [],
      outcomes,
      copiedFrom: null,
      prunedCount: 1,
    };
    const text = renderRun(report, { durationMs: 1_000, columns: 80, program });
    assertReadable(text, `daily/${daily.id}`, destination.key, command);
    assert.equal(renderRun(report, { durationMs: 1, columns: Infinity, program }).split('\n').length, 8);
  });

  it('pin, verify and drill say it of a long place, and name the snapshot whole', () => {
    const name = `daily/${daily.id}`;
    for (const outcome of ['pinned', 'not-pinned'] as const)
      assertReadable(renderPin({ snapshot: name, place, outcome, isRuled: true }, { columns: 80 }), name);
    for (const decoded of [true, false])
      assertReadable(
        renderVerification({ manifest: daily, place, decoded, secrets: 'decrypted', extra: 'hashed' }, { columns: 80 }),
        name,
      );
    const checks = [{ check: 'contents', status: 'failed', detail: `${place} `.repeat(3).trim(), remedy }] as const;
    assertReadable(
      renderDrill(
        {
          snapshot: name,
          status: 'failed',
          serverVersion: '17.2 (Debian 17.2-1.pgdg120+1)',
          durationMs: 1,
          checks: [...checks],
        },
        { columns: 80, program, timeZone },
      ),
      name,
      command,
    );
  });

  it('restore says what to do next, each command on a line of its own', () => {
    const name = `daily/${daily.id}`;
    const report = {
      snapshot: name,
      place,
      dataAt: daily.dataAt.toISOString(),
      database: 'mastodon_production',
      movedAside: 'mastodon_production_before_20261123T120000Z',
      durationMs: 1,
      checks: [{ check: 'role', status: 'note', detail: `${place} is where it is from`, remedy }],
      nextSteps: nextSteps({
        manifest: { ...daily, mastodon: { schemaVersion: '20260101000000', release: null } },
        database: 'mastodon_production',
        configured: 'mastodon_production',
        movedAside: 'mastodon_production_before_20261123T120000Z',
        isAhead: false,
      }),
    } as Partial<RestoreReport> as RestoreReport;
    const text = renderRestore(report, { timeZone, columns: 80, program });
    assertReadable(text, name, command, 'docker compose up -d', `${program} run`);
    assert.doesNotMatch(text, /(?:mastodon-backup|docker compose)[^\n]*\.$/m);
  });

  it('upgrade has a finding a line, and what helps below it', () => {
    const checks = [
      { check: 'extensions', status: 'ok', detail: 'all of them are there', remedy: null },
      { check: 'rehearsal', status: 'failed', detail: `${place} was never rehearsed`, remedy },
    ] as const;
    const text = renderUpgradeFindings(checks, { columns: 80, program });
    assertReadable(text, command);
    assert.match(text, /^ok {6}extensions {2}all of them are there\nFAILED {2}rehearsal {3}bucket/);
  });

  it('doctor says it of a long place, with the command that helps', () => {
    const findings: readonly Finding[] = [{ check: 's3', status: 'problem', detail: `${place} is not there`, remedy }];
    assertReadable(renderFindings(findings, { columns: 80, program }), command);
  });

  it('what failed and what to do about it', () => {
    const failure = settingsError([
      {
        variable: 'BACKUP_LOCAL_DIR',
        shownValue: '',
        problem: 'set, but empty',
        remedy: 'Write a value, or remove the line if it is meant to be off',
      },
      {
        variable: 'BACKUP_TIMEOUT',
        shownValue: 'soon',
        problem: 'no duration',
        remedy: 'Write a number and one of s, m, h and d, such as 12h or 90m',
      },
    ]);
    const text = describeFailure(failure, { redact: (one) => one, program, columns: 80 });
    assertReadable(text, `${program} doctor`);
    assert.match(
      text,
      /^ {2}BACKUP_LOCAL_DIR '': set, but empty\. Write a value, or remove the line if it\n {4}is meant/m,
    );
    const nas = 'a directory of a NAS that is somewhere else';
    assertReadable(
      describeFailure(new AppError('store', `There is no room in ${nas}: nothing is free`, { hint: remedy }), {
        redact: (one) => one,
        program,
        columns: 80,
      }),
      command,
    );
  });
});
