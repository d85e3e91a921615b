// A drill as a page: what was restored, how long it took, and every check with its remedy.

import type { DrillReport } from '../state/records.ts';
import { countChecks } from '../status/words.ts';
import { formatDuration } from '../text/format.ts';
import { html } from '../text/html.ts';
import { formatMoment } from '../text/moment.ts';
import { page } from './page.ts';
import { table } from './table.ts';

const headlines = {
  passed: 'The backup became a working database',
  failed: 'The backup did not become a working database',
  incomplete: 'The backup was restored, but not all of it could be checked',
  skipped: 'The drill was skipped',
} as const;
const symbols = { passed: '✓', failed: '✕', incomplete: '!', skipped: '!' } as const;
const checkSigns = { ok: '✓ ok', failed: '✕ failed', note: '! note' } as const;
const checkTones = { ok: 'passed', failed: 'failed', note: 'incomplete' } as const;

/** The page of one drill. */
export function drillPage(report: DrillReport, { timeZone }: { readonly timeZone: string }): string {
  const { status, checks, durationMs, serverVersion } = report;
  return page({
    title: `${symbols[status]} Drill ${status}: ${report.snapshot}`,
    icon: status === 'passed' ? 'good' : status === 'failed' ? 'bad' : 'warn',
    header: html`<p><a href="/">All of it</a></p>
      <p>${formatMoment(report.endedAt, timeZone)}</p>`,
    body: html`<section class="verdict ${status}">
        <div class="sign" aria-hidden="true">${symbols[status]}</div>
        <div>
          <h1>${headlines[status]}</h1>
          <p>${report.snapshot}: ${countChecks(checks)}.</p>
        </div>
      </section>
      <section>
        <h2>What was done</h2>
        <dl>
          <dt>Data of</dt>
          <dd>${formatMoment(report.dataAt, timeZone)}</dd>
          <dt>Begun</dt>
          <dd>${formatMoment(report.startedAt, timeZone)}</dd>
          <dt>Restored in</dt>
          <dd>${durationMs === null ? 'not reached' : formatDuration(durationMs)}</dd>
          <dt>PostgreSQL</dt>
          <dd>${serverVersion ?? 'not started'}</dd>
        </dl>
      </section>
      ${table('Checks', {
        columns: [{ head: 'Result', as: 'name' }, { head: 'Check' }, { head: 'What was found', as: 'long' }],
        rows: checks.map(({ check, status: result, detail, remedy }) => ({
          tone: checkTones[result],
          cells: [
            html`<span class="tone">${checkSigns[result]}</span>`,
            check,
            html`${detail}${remedy !== null && html`<p><strong>${remedy}</strong></p>`}`,
          ],
        })),
      })}`,
    footer: html`<p>Drill ${report.id}</p>`,
  });
}
