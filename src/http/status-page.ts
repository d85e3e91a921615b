// The status page: the verdict first, then what it rests on. All of it stands in the view; here it becomes markup, without a line
// of script.

import type { Status } from '../status/status.ts';
import type { TierView } from '../status/tiers.ts';
import { symbols } from '../status/verdict.ts';
import {
  countChecks,
  describeActivity,
  describeMoments,
  formatUntil,
  shareOfMoments,
  shareOf,
  trendOf,
} from '../status/words.ts';
import { formatBytes, formatDuration, formatSpan } from '../text/format.ts';
import { html, type Html } from '../text/html.ts';
import { formatAge, formatMinute, formatMinuteBare } from '../text/moment.ts';
import { plural } from '../text/table.ts';
import { page } from './page.ts';
import { plot, yearOfDays } from './plots.ts';
import { table } from './table.ts';

const icons = { starting: 'warn', healthy: 'good', degraded: 'warn', late: 'bad', failed: 'bad' } as const;
const shownSnapshots = 25;

/** The whole page. `refresh` is how often it is loaded again by itself, in seconds; null: it is held. */
export function statusPage(status: Status, { refreshSeconds }: { readonly refreshSeconds: number | null }): string {
  const { verdict, instance, at, timeZone } = status;
  return page({
    title: `${symbols[verdict.status]} ${verdict.headline} · ${instance}`,
    icon: icons[verdict.status],
    header: html`<p class="long"><strong>${instance}</strong></p>
      <p>${formatMinute(at, timeZone)}</p>`,
    body: html`${verdictSection(status)}${status.activities.map(
        (activity) =>
          html`<section>
            <h2>Under way</h2>
            <p>${describeActivity(activity, at)}</p>
            ${progressBar(shareOf(activity))}
          </section>`,
      )}
      <div class="cards">
        ${status.tiers.map((tier) => tierCard(tier, status))}${drillCard(status)}${restoreCard(status)}
      </div>
      ${moments(status)}
      <section>
        <h2>Days</h2>
        ${yearOfDays(status.calendar)}
      </section>
      ${plots(status)}${destinations(status)}${snapshots(status)}${messages(status)}`,
    footer: html`<p>
      mastodon-backup ${status.toolVersion}.
      ${
        refreshSeconds === null
          ? html`This page is held. <a href="/">Let it refresh by itself</a>`
          : html`Refreshes every ${refreshSeconds} s. <a href="/?hold">Hold it</a>`
      }.
      Also: <a href="/status.json">as JSON</a>, <a href="/metrics">metrics</a>. Times are in ${timeZone}.
    </p>`,
  });
}

function verdictSection({ verdict, warnings }: Status): Html {
  return html`<section class="verdict ${verdict.status}">
    <div class="sign" aria-hidden="true">${symbols[verdict.status]}</div>
    <div>
      <h1>${verdict.headline}</h1>
      <p>${verdict.detail}</p>
      ${
        warnings.length > 0 &&
        html`<ul>
          ${warnings.map((text) => html`<li>${text}</li>`)}
        </ul>`
      }
    </div>
  </section>`;
}

function progressBar(share: number | null): Html {
  return share === null
    ? html`<progress aria-label="Progress"></progress>`
    : html`<progress aria-label="Progress" max="100" value="${Math.round(share * 100)}"></progress>`;
}

function moments({ pitr, timeZone }: Status): Html | null {
  if (pitr === null) return null;
  return html`<section>
    <h2>Moments</h2>
    <progress
      aria-label="How much of it is there"
      max="100"
      value="${Math.round(shareOfMoments(pitr) * 100)}"
    ></progress>
    <p>Of the last ${formatSpan(pitr.keepMs)} ${describeMoments(pitr, { timeZone })}.</p>
  </section>`;
}

const slotSigns = { made: '●', missed: '✕', pending: '…', unknown: '·' } as const;

function tierCard(tier: TierView, { at, timeZone }: Status): Html {
  const { newest, slots, deadlineAt, nextAt, late } = tier;
  const missed = slots.filter(({ answer }) => answer === 'missed').length;
  return html`<section class="${late ? 'late' : 'healthy'}">
    <h2 class="name">${tier.tier}</h2>
    <p class="big">${newest === null ? 'never' : formatAge(newest.dataAt, at)}</p>
    ${late && html`<p class="tone">✕ late: it was due by ${deadlineAt === null ? 'now' : formatMinute(deadlineAt, timeZone)}</p>`}
    <dl>
      ${
        nextAt !== null &&
        html`<dt>Next</dt>
          <dd>${formatUntil(nextAt, at)}, ${formatMinuteBare(nextAt, timeZone)}</dd>`
      }
      ${
        deadlineAt !== null &&
        !late &&
        html`<dt>Due by</dt>
          <dd>${formatMinuteBare(deadlineAt, timeZone)}</dd>`
      }
      ${
        newest !== null &&
        html`<dt>Stored</dt>
          <dd>${formatBytes(newest.objectBytes)} of ${formatBytes(newest.dumpBytes)}</dd>
          <dt>Took</dt>
          <dd>${newest.copiedFrom === null ? formatDuration(newest.durationMs) : 'copied'}</dd>`
      }
      <dt>Kept</dt>
      <dd>${plural(tier.count, 'snapshot')}, ${formatBytes(tier.storedBytes)}</dd>
      ${
        slots.length > 0 &&
        html`<dt>Last ${slots.length}</dt>
          <dd>
            <span class="slots" role="img" aria-label="${missed === 0 ? 'none missed' : `${missed} missed`}"
              >${slots.map(({ answer }) => slotSigns[answer])}</span
            >
          </dd>`
      }
      ${
        tier.failure !== null &&
        html`<dt>Failed</dt>
          <dd>${formatAge(tier.failure.at, at)}: ${tier.failure.message}</dd>`
      }
    </dl>
  </section>`;
}

function drillCard({ drills: { last, report, nextAt }, at, timeZone }: Status): Html {
  return html`<section class="${last?.status ?? 'starting'}">
    <h2 class="name">Restore drill</h2>
    <p class="big tone">${last === null ? 'none yet' : last.status}</p>
    <dl>
      ${
        last !== null &&
        html`<dt>When</dt>
          <dd>${formatAge(last.at, at)}</dd>
          <dt>Took</dt>
          <dd>${last.durationMs === null ? 'not reached' : formatDuration(last.durationMs)}</dd>`
      }
      ${
        report !== null &&
        html`<dt>Checks</dt>
          <dd><a href="/drills/${report.id}">${countChecks(report.checks)}</a></dd>`
      }
      ${
        last !== null &&
        last.status !== 'passed' &&
        html`<dt>Last passed</dt>
          <dd>${last.lastSuccessAt === null ? 'never' : formatAge(last.lastSuccessAt, at)}</dd>`
      }
      ${
        nextAt !== null &&
        html`<dt>Next</dt>
          <dd>${formatMinuteBare(nextAt, timeZone)}</dd>`
      }
    </dl>
  </section>`;
}

function restoreCard({ restore }: Status): Html | null {
  if (restore === null) return null;
  return html`<section>
    <h2 class="name">A restore now</h2>
    <p class="big">${restore.durationMs === null ? 'not measured' : `about ${formatSpan(restore.durationMs)}`}</p>
    <dl>
      <dt>Fetches</dt>
      <dd>${formatBytes(restore.objectBytes)}</dd>
      ${
        restore.databaseBytes !== null &&
        html`<dt>Needs</dt>
          <dd>about ${formatBytes(restore.databaseBytes)} of disk</dd>`
      }
      <dt>From</dt>
      <dd>${restore.snapshot}</dd>
    </dl>
  </section>`;
}

function plots({ history, drills, at, timeZone }: Status): Html | null {
  const points = history.map(({ dataAt, ...run }) => ({ at: dataAt, ...run }));
  const durations = points.flatMap(({ at: moment, durationMs }) =>
    durationMs === null ? [] : [{ at: moment, value: durationMs }],
  );
  const recoveries = drills.reports
    .flatMap(({ endedAt, durationMs }) => (durationMs === null ? [] : [{ at: new Date(endedAt), value: durationMs }]))
    .toReversed();
  const ratio = points
    .filter(({ objectBytes }) => objectBytes > 0)
    .map(({ at: moment, dumpBytes, objectBytes }) => ({ at: moment, value: dumpBytes / objectBytes }));
  const drawn = [
    plot(
      points.map(({ at: moment, objectBytes }) => ({ at: moment, value: objectBytes })),
      { title: 'Stored size', latest: trendOf(history, at), format: formatBytes, timeZone },
    ),
    plot(durations, { title: 'A run takes', latest: '', format: formatDuration, timeZone }),
    plot(ratio, { title: 'Compressed to one part in', latest: '', format: (value) => value.toFixed(1), timeZone }),
    plot(recoveries, { title: 'A restore took', latest: '', format: formatDuration, timeZone }),
  ].filter((one) => one !== null);
  return drawn.length === 0
    ? null
    : html`<section>
        <h2>Over time</h2>
        <div class="plots">${drawn}</div>
      </section>`;
}

function destinations({ destinations: all, at }: Status): Html | null {
  if (all.length === 0) return null;
  return table('Destinations', {
    columns: [{ head: 'Where', as: 'name' }, { head: 'Snapshots' }, { head: 'Stored' }, { head: 'Read' }],
    rows: all.map(({ description, count, storedBytes, readAt, error, missed, apart }) => ({
      tone: 'late',
      cells: [
        html`${description} ${error !== null && html`<p class="tone">✕ cannot be read: ${error}</p>`}
        ${missed !== null && html`<p class="tone">✕ missed the last backup: ${missed.message}</p>`}
        ${Object.entries(apart).map(([what, number]) => html`<p class="quiet">${number} ${what}</p>`)}`,
        count,
        formatBytes(storedBytes),
        readAt === null ? 'never' : formatAge(readAt, at),
      ],
    })),
  });
}

function snapshots({ snapshots: all, retention, timeZone }: Status): Html | null {
  if (all.length === 0) return null;
  const day = (moment: Date): string => formatMinuteBare(moment, timeZone).slice(0, 10);
  const rows = all.slice(0, shownSnapshots).map(({ name, label, dataAt, objectBytes, keep, goesAt, reason }) => ({
    cells: [
      html`${name}${label !== null && html`<p class="quiet">${label}</p>`}`,
      formatMinuteBare(dataAt, timeZone),
      formatBytes(objectBytes),
      html`${keep ? (goesAt === null ? 'for good' : `until about ${day(goesAt)}`) : 'goes with the next prune'}
        <p class="quiet">${reason}</p>`,
    ],
  }));
  const more = all.length - rows.length;
  const columns = [
    { head: 'Snapshot', as: 'name' },
    { head: 'Data of' },
    { head: 'Stored' },
    { head: 'Stays', as: 'long' },
  ] as const;
  return html`${table(`${plural(all.length, 'snapshot')} stored`, { columns, rows })}
  ${more > 0 && html`<p class="quiet">${plural(more, 'older one')} not shown here; mastodon-backup list shows all of them.</p>`}
  ${retention.problem !== null && html`<section class="degraded"><p class="tone">! Retention: ${retention.problem}</p></section>`}`;
}

function messages({ channels, failures, at }: Status): Html {
  return html`${
    channels.length > 0 &&
    table('Messages', {
      columns: [{ head: 'Channel', as: 'name' }, { head: 'Last' }, { head: 'Result', as: 'long' }],
      rows: channels.map(({ channel, error, at: when }) => ({
        cells: [channel, formatAge(when, at), error === null ? '✓ sent' : `✕ ${error}`],
      })),
    })
  }${
    failures.length > 0 &&
    table('What failed', {
      columns: [{ head: 'When', as: 'name' }, { head: 'What' }, { head: 'Why', as: 'long' }],
      rows: failures.slice(0, 10).map(({ at: when, tier, step, message }) => ({
        cells: [formatAge(when, at), `${tier}, ${step}`, message],
      })),
    })
  }`;
}
