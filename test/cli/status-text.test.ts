// The status page as text: on the smallest terminal there is, the verdict stays in sight.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { renderStatus } from '../../src/cli/status-text.ts';
import { viewStatus } from '../../src/status/status.ts';
import { plain } from '../../src/text/paint.ts';
import { holding, keptOf, now, statusFacts, yearOfRuns } from '../support/status-facts.ts';

const hourMs = 3_600_000;

it('a late instance fits 80 columns and 24 lines, and what a warning says is not said again', () => {
  const runs = yearOfRuns().filter(({ dataAt }) => now.getTime() - dataAt.getTime() > 70 * hourMs);
  const message = "The database 'mastodon_production' cannot be reached: connect ECONNREFUSED 10.0.3.7:5432";
  const failed = (days: number, words: string) => ({
    tier: 'daily',
    at: new Date(now.getTime() - (3 + days * 24) * hourMs).toISOString(),
    step: 'dump',
    message: words,
  });
  const shown = (words: string) => {
    const failures = [failed(0, message), failed(1, message), failed(2, words)];
    const facts = statusFacts({
      stores: [holding(keptOf(runs))],
      history: { since: '2025-11-20T00:00:00.000Z', runs: [...runs], failures },
      attempts: { failures: { daily: { ...failed(0, message), hint: null } } },
    });
    return renderStatus(viewStatus(facts), { columns: 80, paint: plain });
  };
  const text = shown(message);
  const lines = text.trimEnd().split('\n');
  assert.ok(lines.length < 24, text);
  assert.ok(Math.max(...lines.map(({ length }) => length)) <= 80, text);
  assert.doesNotMatch(text, /^FAILED/m);
  assert.match(shown('the disk is full'), /^FAILED.*\n2 days ago +daily +dump: the disk is full/m);
});

it('fits a narrower terminal too, and paints all of a late row and no other', () => {
  const runs = yearOfRuns().filter(
    ({ dataAt, tier }) => tier !== 'daily' || now.getTime() - dataAt.getTime() > 70 * hourMs,
  );
  const status = viewStatus(statusFacts({ stores: [holding(keptOf(runs))] }));
  for (const columns of [40, 60]) {
    const text = renderStatus(status, { columns, paint: plain });
    assert.ok(Math.max(...text.split('\n').map(({ length }) => length)) <= columns, text);
    assert.match(text, /[●✕]{14} LATE$/m);
    const bad = renderStatus(status, { columns, paint: (words, tone) => (tone === 'bad' ? `<${words}>` : words) });
    const rows = bad.slice(bad.indexOf('TIER'), bad.indexOf('Last drill'));
    const painted = [...rows.matchAll(/^<(.*)>$/gm)].map(([, line]) => line).join('\n');
    assert.match(painted, /^daily [^]* LATE$/);
    assert.doesNotMatch(painted, /weekly|monthly/);
  }
});
