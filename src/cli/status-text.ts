// The status page for a terminal of 80 columns: the verdict first, then what it rests on, a line each.

import type { ActivityView, Status } from '../status/status.ts';
import type { DayOutcome } from '../status/calendar.ts';
import type { SlotView, TierView } from '../status/tiers.ts';
import { symbols } from '../status/verdict.ts';
import { formatBytes, formatDuration, formatSpan } from '../text/format.ts';
import { formatAge, formatMinute, formatMinuteBare } from '../text/moment.ts';
import type { Paint, Tone } from '../text/paint.ts';
import { sparkline } from '../text/sparkline.ts';
import { formatTable, wrap } from '../text/table.ts';
import { countChecks, describeActivity, describeMoments, trendOf } from '../status/words.ts';

interface Look {
  /** Infinity: no terminal. */
  readonly columns: number;
  readonly paint: Paint;
}

const widest = 100;
const name = 13;

/** All of it as text. */
export function renderStatus(status: Status, look: Look): string {
  const width = { ...look, columns: Math.min(look.columns, widest) };
  const blocks = [
    renderVerdict(status, width),
    status.activities.map((one) => `${activityLine(one, status, width)}\n`).join(''),
    renderTiers(status, look),
    renderFacts(status, width),
    renderDestinations(status, look),
    renderFailures(status, width),
  ];
  return blocks.filter((block) => block !== '').join('\n');
}

const tones = {
  starting: 'warn',
  healthy: 'good',
  degraded: 'warn',
  late: 'bad',
  failed: 'bad',
} as const satisfies Record<Status['verdict']['status'], Tone>;

function renderVerdict({ verdict, warnings, instance, at, timeZone }: Status, { columns, paint }: Look): string {
  const tone = tones[verdict.status];
  const headline = `${symbols[verdict.status]} ${wrap(verdict.headline, { columns, indent: 2 })}`;
  const hasRoom = headline.length + 2 + instance.length <= columns;
  const lines = [
    `${paint(headline, tone)}${hasRoom ? '  ' : '\n  '}${paint(instance, 'strong')}`,
    `  ${wrap(verdict.detail, { columns, indent: 2 })}`,
    ...warnings.map((text) => `${paint('!', tone === 'good' ? 'warn' : tone)} ${wrap(text, { columns, indent: 2 })}`),
    paint(`  ${verdict.status}, ${formatMinute(at, timeZone)}`, 'quiet'),
  ];
  return `${lines.join('\n')}\n`;
}

function activityLine(activity: ActivityView, { at }: Status, { columns, paint }: Look): string {
  return `${paint('▶', 'strong')} ${wrap(describeActivity(activity, at), { columns, indent: 2 })}`;
}

function renderTiers({ tiers, at, timeZone }: Status, { columns, paint }: Look): string {
  if (tiers.length === 0) return '';
  const rows = [
    ['TIER', 'NEWEST', 'NEXT', 'STORED', 'KEPT', 'LAST SLOTS'],
    ...tiers.map((tier) => [
      tier.tier,
      tier.newest === null ? 'never' : formatAge(tier.newest.dataAt, at),
      tier.nextAt === null ? '-' : formatMinuteBare(tier.nextAt, timeZone),
      tier.newest === null ? '-' : formatBytes(tier.newest.objectBytes),
      String(tier.count),
      lastColumn(tier),
    ]),
  ];
  // Painted line by line, for a table counts what it sees; a row may have several, of which the first alone is not indented.
  let row = -1;
  return formatTable(rows, { columns })
    .split('\n')
    .map((line) => {
      if (line === '') return line;
      if (!line.startsWith(' ')) row += 1;
      return row === 0 ? paint(line, 'quiet') : tiers[row - 1]?.late === true ? paint(line, 'bad') : line;
    })
    .join('\n');
}

const slotSigns: Readonly<Record<SlotView['answer'], string>> = { made: '●', missed: '✕', pending: '…', unknown: '·' };

function lastColumn({ slots, late }: TierView): string {
  return `${slots.map(({ answer }) => slotSigns[answer]).join('')}${late ? ' LATE' : ''}`;
}

const daySigns: Readonly<Record<DayOutcome, string>> = {
  kept: '●',
  gone: '○',
  failed: '✕',
  missed: '✕',
  none: ' ',
  unknown: '·',
  today: '…',
};

function renderFacts(status: Status, { columns, paint }: Look): string {
  const { drills, restore, history, calendar, at, timeZone } = status;
  const line = (title: string, text: string): string =>
    `${paint(title.padEnd(name), 'quiet')}${wrap(text, { columns, indent: name })}\n`;
  const days = Math.max(0, Math.min(60, columns - name));
  const spark = (values: readonly number[]): string => sparkline(values, { columns: 24 });
  const points = history.slice(-365);
  const durations = points.flatMap(({ durationMs }) => (durationMs === null ? [] : [durationMs]));
  const sizes = points.map(({ objectBytes }) => objectBytes);
  const lines = [
    line('Last drill', drillText(status)),
    ...(status.pitr === null ? [] : [line('Moments', describeMoments(status.pitr, status))]),
    ...(restore === null ? [] : [line('A restore', restoreText(restore))]),
    ...(calendar.length === 0
      ? []
      : [
          line(
            `Last ${days} days`,
            calendar
              .slice(-days)
              .map(({ outcome }) => daySigns[outcome])
              .join(''),
          ),
        ]),
    ...(sizes.length < 2
      ? []
      : [line('Stored size', `${spark(sizes)} ${formatBytes(sizes.at(-1) ?? 0)}${trendOf(points, at)}`)]),
    ...(durations.length < 2
      ? []
      : [line('A run takes', `${spark(durations)} ${formatDuration(durations.at(-1) ?? 0)}`)]),
    ...(status.retention.problem === null ? [] : [line('Retention', status.retention.problem)]),
    ...(drills.nextAt === null ? [] : [line('Next drill', formatMinute(drills.nextAt, timeZone))]),
  ];
  return lines.join('');
}

function drillText({ drills: { last, report }, at }: Status): string {
  if (last === null) return 'none yet: nothing has proved that a backup restores';
  const took = last.durationMs === null ? '' : `, restored in ${formatDuration(last.durationMs)}`;
  const checks = report === null ? '' : `, ${countChecks(report.checks)}`;
  const before =
    last.status === 'passed'
      ? ''
      : `; ${last.lastSuccessAt === null ? 'none has passed' : `one last passed ${formatAge(last.lastSuccessAt, at)}`}`;
  return `${last.status} ${formatAge(last.at, at)}${took}${checks}${before}`;
}

function restoreText({ objectBytes, databaseBytes, durationMs }: NonNullable<Status['restore']>): string {
  const time = durationMs === null ? 'not measured yet' : `takes about ${formatSpan(durationMs)}`;
  const space = databaseBytes === null ? '' : `, needs about ${formatBytes(databaseBytes)} of disk`;
  return `${time}, fetches ${formatBytes(objectBytes)}${space}`;
}

function renderDestinations({ destinations, at }: Status, { columns, paint }: Look): string {
  if (destinations.length === 0) return '';
  const rows = destinations.map(({ description, count, storedBytes, readAt, error, missed, apart }) => {
    const troubles = [
      ...(error === null ? [] : [`cannot be read: ${error}`]),
      ...(missed === null ? [] : [`missed the last backup: ${missed.message}`]),
      ...Object.entries(apart).map(([what, number]) => `${number} ${what}`),
    ];
    const read = readAt === null ? 'never' : formatAge(readAt, at);
    return [String(count), formatBytes(storedBytes), read, [description, ...troubles].join('; ')];
  });
  const [head = '', ...lines] = formatTable([['COUNT', 'STORED', 'READ', 'DESTINATION'], ...rows], { columns }).split(
    '\n',
  );
  return [paint(head, 'quiet'), ...lines].join('\n');
}

// What a warning says already is not said again: on a screen of 24 lines the verdict must stay in sight.
function renderFailures({ failures, warnings, at }: Status, { columns, paint }: Look): string {
  const others = failures.filter(({ message }) => !warnings.some((text) => text.endsWith(message)));
  if (others.length === 0) return '';
  const rows = others.slice(0, 3).map((one) => [formatAge(one.at, at), one.tier, `${one.step}: ${one.message}`]);
  const [head = '', ...lines] = formatTable([['FAILED', 'TIER', 'WHY'], ...rows], { columns }).split('\n');
  return [paint(head, 'quiet'), ...lines].join('\n');
}
