// What a campaign has to tell: how often each fault was tried on each operation, and every violation with the line that
// repeats it alone.

import { operations } from './fault.ts';
import type { Verdict } from './fault-case.ts';

/** The table and what follows from it, as text. */
export function renderReport(
  verdicts: readonly Verdict[],
  { seed, minutes }: { readonly seed: number; readonly minutes: number },
): string {
  const kinds = [...new Set(verdicts.map(({ family, kind }) => `${family}: ${kind}`))].toSorted();
  const cell = (of: readonly Verdict[]): string => {
    const wrong = of.filter(({ violations }) => violations.length > 0).length;
    return of.length === 0 ? '' : wrong === 0 ? String(of.length) : `${of.length} (${wrong}!)`;
  };
  const rows = kinds.map((kind) => {
    const of = verdicts.filter((one) => `${one.family}: ${one.kind}` === kind);
    return [kind, ...operations.map((operation) => cell(of.filter((one) => one.operation === operation))), cell(of)];
  });
  const sums = [
    'all',
    ...operations.map((operation) => cell(verdicts.filter((one) => one.operation === operation))),
    cell(verdicts),
  ];
  const table = [['fault', ...operations, 'tried'], ...rows, sums];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = table.map((row) =>
    row
      .map((text, column) => (column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0)))
      .join('  '),
  );
  const wrong = verdicts.filter(({ violations }) => violations.length > 0);
  const notes = new Map<string, number>();
  for (const note of verdicts.flatMap((one) => one.notes)) notes.set(note, (notes.get(note) ?? 0) + 1);
  const statuses = new Map<string, number>();
  for (const { status } of verdicts)
    statuses.set(String(status ?? 'killed'), (statuses.get(String(status ?? 'killed')) ?? 0) + 1);
  return [
    ...lines,
    '',
    `ended with: ${[...statuses]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([status, count]) => `${status} ${count} times`)
      .join(', ')}`,
    ...[...notes].map(([note, count]) => `${count} times: ${note}`),
    `${verdicts.length} faults in ${minutes.toFixed(1)} minutes, seed ${seed}, ${wrong.length} with violations`,
    '',
  ].join('\n');
}

/** One violation, with how to have it again. */
export function renderViolations(
  { index, what, status, violations }: Verdict,
  { seed, tried, narrowed }: { readonly seed: number; readonly tried: number; readonly narrowed: readonly string[] },
): string {
  const lines = violations.map((text) => `    ${text.replaceAll('\n', '\n      ')}`);
  return [
    `VIOLATION at fault ${index}, the ${tried}. that was tried: ${what}; it ended with ${status ?? 'no status'}`,
    ...lines,
    `    again: npm run test:faults -- ${[`--seed ${seed}`, ...narrowed, `--fault ${index}`].join(' ')}`,
    '',
  ].join('\n');
}
