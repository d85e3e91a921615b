// A table that had rows in the last snapshot and has none now is said once: in the log, in the message, and in the list.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { findTableLosses } from '../../src/backup/emptied-tables.ts';
import type { Manifest } from '../../src/snapshots/manifest.ts';
import { startStage } from '../faults/support.ts';
import { startReceiver } from '../notify/receiver.ts';
import { runCommand, type CommandResult } from '../support/command.ts';
import { aManifest, manifestFrom } from '../support/manifests.ts';

const start = Date.parse('2026-01-01T00:00:00Z');
const dayMs = 86_400_000;

function snapshot(day: number, rows: Readonly<Record<string, number>>): Manifest {
  const manifest = aManifest({ dataAt: new Date(start + day * dayMs) });
  return { ...manifest, database: { ...manifest.database, rows } };
}

const now = new Date(start + 10 * dayMs);

it('compares with the newest snapshot that is not from the future, whichever tier and store it is in', () => {
  const earlier = [
    snapshot(3, { 'public.follows': 0, 'public.blocks': 7 }),
    snapshot(40, { 'public.follows': 9, 'public.blocks': 0 }),
    snapshot(2, { 'public.follows': 400, 'public.blocks': 7 }),
  ];
  const losses = findTableLosses({ 'public.follows': 0, 'public.blocks': 0 }, { earlier, isMastodon: true, now });
  assert.deepEqual(losses.emptied, ['public.blocks']);
  assert.match(
    losses.warnings.join('\n'),
    new RegExp(`^public\\.blocks \\(7\\) had rows in .*daily/${earlier[0]?.id} of `),
  );
  assert.deepEqual(losses.notes, []);
});

it('has nothing to say without a snapshot before, or while rows are there', () => {
  assert.deepEqual(findTableLosses({ 'public.follows': 0 }, { earlier: [], isMastodon: true, now }).warnings, []);
  const earlier = [snapshot(1, { 'public.follows': 400 })];
  const losses = findTableLosses({ 'public.follows': 1 }, { earlier, isMastodon: true, now });
  assert.deepEqual(losses, { emptied: [], warnings: [], notes: [] });
});

it('leaves to the log what Mastodon empties itself, and what is dropped or renamed', () => {
  const earlier = [snapshot(1, { 'public.scheduled_statuses': 1, 'public.deprecated_preview_cards': 3 })];
  const rows = { 'public.scheduled_statuses': 0 };
  const losses = findTableLosses(rows, { earlier, isMastodon: true, now });
  assert.deepEqual([losses.emptied, losses.warnings], [[], []]);
  assert.match(losses.notes[0] ?? '', /^public\.scheduled_statuses \(1\) .* as Mastodon leaves it$/);
  assert.match(losses.notes[1] ?? '', /^public\.deprecated_preview_cards \(3\) .* dropped or renamed$/);
  // Another application may have a table of that name that is never empty.
  assert.deepEqual(findTableLosses(rows, { earlier, isMastodon: false, now }).emptied, ['public.scheduled_statuses']);
});

it('names the ten that had most, and records a hundred', () => {
  const tables = Array.from({ length: 150 }, (_, index) => [`public.t${index}`, index + 1] as const);
  const earlier = [snapshot(1, Object.fromEntries(tables))];
  const rows = Object.fromEntries(tables.map(([table]) => [table, 0]));
  const { emptied, warnings } = findTableLosses(rows, { earlier, isMastodon: true, now });
  assert.equal(emptied.length, 100);
  assert.match(
    warnings[0] ?? '',
    /^public\.t149 \(150\), (?:public\.t\d+ \(\d+\), ){8}public\.t140 \(141\) and 140 more /,
  );
});

describe('a table that is emptied between two runs', () => {
  it('is said in the log, in the message and in the list, also of a partition, and not again by the next run', async () => {
    await using stage = await startStage({ megabytes: 1 });
    await using receiver = await startReceiver();
    const environment = { ...stage.environment, BACKUP_WEBHOOK_URL: `${receiver.url}/hook`, BACKUP_NOTIFY: 'failure' };
    const done = async (...args: readonly string[]): Promise<CommandResult> => {
      const result = await runCommand(args, environment);
      assert.equal(result.status, 0, result.stderr);
      return result;
    };
    const newest = async (): Promise<Manifest> => {
      const { stdout } = await done('list', '--json');
      const [first] = (JSON.parse(stdout) as { snapshots: unknown[] }).snapshots.map(manifestFrom);
      assert.ok(first !== undefined);
      return first;
    };
    const database = 'mastodon_production';
    await stage.server.query(
      `set role mastodon;
       create table events (kind text) partition by list (kind);
       create table events_a partition of events for values in ('a');
       create table events_b partition of events for values in ('b');
       insert into events values ('a'), ('b')`,
      database,
    );
    const first = await done('run');
    assert.doesNotMatch(first.stderr, /had rows in/);
    const full = await newest();
    assert.equal(full.database.emptied, undefined);
    assert.doesNotMatch((await done('list')).stdout, /had rows in/);
    assert.equal(receiver.received.length, 0);

    await stage.server.query('truncate follows, events_a', database);
    const said = new RegExp(
      `public\\.follows \\(${full.database.rows['public.follows']}\\), public\\.events_a \\(1\\) had rows in the last snapshot, daily/${full.id} of `,
    );
    const second = await done('run');
    assert.match(second.stderr, said);
    const [message, ...others] = receiver.received;
    assert.deepEqual(others, []);
    const { severity, text } = JSON.parse(message?.body ?? '{}') as { severity?: string; text?: string };
    assert.equal(severity, 'warning');
    assert.match(text ?? '', said);
    const emptied = await newest();
    assert.deepEqual(emptied.database.emptied, ['public.events_a', 'public.follows']);
    const listed = await done('list');
    assert.match(
      listed.stdout,
      new RegExp(
        `had rows in the snapshot before and have none:\n +daily/${emptied.id} +public\\.events_a, public\\.follows\n`,
      ),
    );
    assert.match((await done('health', '--json')).stdout, /public\.follows \(\d+\)/);

    const third = await done('run');
    assert.doesNotMatch(third.stderr, /had rows in/);
    assert.equal((await newest()).database.emptied, undefined);
    assert.equal(receiver.received.length, 1);
  });
});
