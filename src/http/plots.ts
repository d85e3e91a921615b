// The pictures of the status page, drawn here as SVG: a line with an area, and a year of days. By hand, since a scale and a path
// are less code than what a library would bring to a program that holds keys. No text is drawn: what stretches with the window
// would stretch it, and what is read aloud stands beside it as text.

import type { CalendarDay, DayOutcome } from '../status/calendar.ts';
import { html, type Html } from '../text/html.ts';
import { formatMinuteBare } from '../text/moment.ts';
import { plural } from '../text/table.ts';

/** A value at a moment. */
export interface Point {
  readonly at: Date;
  readonly value: number;
}

/** A curve with its extremes and its ends beside it; nothing of less than two points. */
export function plot(
  points: readonly Point[],
  options: {
    readonly title: string;
    readonly latest: string;
    readonly format: (value: number) => string;
    readonly timeZone: string;
  },
): Html | null {
  const [first] = points;
  const last = points.at(-1);
  if (first === undefined || last === undefined || points.length < 2) return null;
  const values = points.map(({ value }) => value);
  const highest = Math.max(...values);
  const lowest = Math.min(...values);
  // What varies by less than a fifth is not drawn as if it fell to nothing.
  const floor = Math.min(lowest, highest * 0.8);
  const spanMs = Math.max(1, last.at.getTime() - first.at.getTime());
  const x = (at: Date): string => (((at.getTime() - first.at.getTime()) / spanMs) * 1_000).toFixed(1);
  const y = (value: number): string =>
    (highest === floor ? 50 : 95 - ((value - floor) / (highest - floor)) * 90).toFixed(1);
  const line = points.map(({ at, value }, index) => `${index === 0 ? 'M' : 'L'}${x(at)} ${y(value)}`).join('');
  const day = (at: Date): string => formatMinuteBare(at, options.timeZone).slice(0, 10);
  const label = `${options.title} from ${day(first.at)} to ${day(last.at)}: between ${options.format(lowest)} and ${options.format(highest)}, last ${options.format(last.value)}`;
  return html`<figure>
    <figcaption>${options.title}: <strong>${options.format(last.value)}</strong>${options.latest}</figcaption>
    <div class="axis"><span>from ${options.format(lowest)} to ${options.format(highest)}</span></div>
    <svg class="plot" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="${label}">
      <path class="area" d="${line}L1000 100L0 100Z" />
      <path class="mark" d="${line}" />
    </svg>
    <div class="axis"><span>${day(first.at)}</span><span>${day(last.at)}</span></div>
  </figure>`;
}

const words: Readonly<Record<DayOutcome, string>> = {
  kept: 'backed up, and stored',
  gone: 'backed up, removed by retention since',
  failed: 'failed',
  missed: 'missed',
  none: 'nothing was due',
  unknown: 'not remembered',
  today: 'today, nothing yet',
};
const legend: readonly DayOutcome[] = ['kept', 'gone', 'missed', 'none'];
const cell = 12;
const weeksPerHalf = 27;

/** A year of days, a column a week, in two halves that stand below each other on a phone. */
export function yearOfDays(days: readonly CalendarDay[]): Html {
  const [first] = days;
  const offset = first === undefined ? 0 : (new Date(`${first.date}T00:00:00Z`).getUTCDay() + 6) % 7;
  const placed = days.map((day, index) => ({ day, week: Math.floor((index + offset) / 7), row: (index + offset) % 7 }));
  const count = (outcomes: readonly DayOutcome[]): number =>
    days.filter(({ outcome }) => outcomes.includes(outcome)).length;
  const bad = count(['failed', 'missed']);
  const summary = `${plural(count(['kept', 'gone']), 'day')} with a backup, ${bad === 0 ? 'none' : bad} failed or missed`;
  const half = (from: number, to: number): Html =>
    html`<svg viewBox="0 0 ${weeksPerHalf * cell} ${7 * cell}" aria-hidden="true">
      ${placed
        .filter(({ week }) => week >= from && week < to)
        .map(({ day, week, row }) => dayMark(day, { x: (week - from) * cell, y: row * cell }))}
    </svg>`;
  return html`<p>In the last year: ${summary}.</p>
    <div class="year">${half(0, weeksPerHalf)}${half(weeksPerHalf, 2 * weeksPerHalf)}</div>
    <div class="legend">
      ${legend.map((outcome) => html`<span><svg viewBox="0 0 10 10" aria-hidden="true">${square(outcome, { x: 0, y: 0 })}</svg>${outcome === 'missed' ? 'failed or missed' : outcome === 'none' ? 'nothing due, or not remembered' : words[outcome]}</span>`)}
    </div>`;
}

function dayMark(day: CalendarDay, place: { readonly x: number; readonly y: number }): Html {
  const tiers = day.tiers.length === 0 ? '' : ` (${day.tiers.join(', ')})`;
  return html`<g><title>${day.date}: ${words[day.outcome]}${tiers}</title>${square(day.outcome, place)}</g>`;
}

// A cross too: red and green alone look alike to many.
function square(outcome: DayOutcome, { x, y }: { readonly x: number; readonly y: number }): Html {
  const cross = outcome === 'failed' || outcome === 'missed' ? `M${x + 2.5} ${y + 2.5}l5 5m0 -5l-5 5` : null;
  return html`<rect
      class="day-${outcome}"
      x="${x}"
      y="${y}"
      width="10"
      height="10"
      rx="2"
    />${cross !== null && html`<path class="cross" d="${cross}" />`}`;
}
