// A drill's report for people; the JSON document is the one that is stored.

import type { DrillDocument } from '../drill/drill-record.ts';
import { formatDuration } from '../text/format.ts';

const signs = { ok: 'ok', failed: 'FAILED', note: 'note' } as const;

/** The report. */
export function renderDrill(document: DrillDocument): string {
  const server = document.serverVersion === null ? '' : ` into PostgreSQL ${document.serverVersion}`;
  const time = document.durationMs === null ? '' : `, recovered in ${formatDuration(document.durationMs)}`;
  return [
    `Drill of ${document.snapshot}${server}: ${document.status}${time}`,
    ...document.checks.map(
      ({ check, status, detail, remedy }) =>
        `  ${signs[status].padEnd(6)} ${check}: ${detail}${remedy === null ? '' : `\n         ${remedy}`}`,
    ),
    '',
  ].join('\n');
}
