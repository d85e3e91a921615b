// What `restore` did, for people.

import type { FileReport, RestoreReport } from '../app/restore-verb.ts';
import { formatBytes, formatDuration } from '../text/format.ts';

/** A restored database and what to do next. */
export function renderRestore(report: RestoreReport): string {
  const { snapshot, place, database, movedAside, durationMs, checks, nextSteps } = report;
  return [
    `Restored ${snapshot} from ${place} into the database ${database} in ${formatDuration(durationMs)}; data as of ${report.dataAt}`,
    ...(movedAside === null ? [] : [`The former ${database} is kept as ${movedAside}`]),
    ...checks.map(({ check, status, detail }) => `  ${status.padEnd(4)} ${check}: ${detail}`),
    'Next:',
    ...nextSteps.map((step, index) => `  ${index + 1}. ${step}`),
    '',
  ].join('\n');
}

/** A file that was written. */
export function renderFile({ snapshot, place, file, bytes }: FileReport & { readonly file: string }): string {
  return `Wrote ${file} (${formatBytes(bytes)}) from ${snapshot} in ${place}\n`;
}
