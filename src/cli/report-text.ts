// What `verify`, `config` and `doctor` print for people.

import type { VerifyResult } from '../app/reading-verbs.ts';
import type { ShownSetting } from '../config/shown.ts';
import type { Finding } from '../doctor/finding.ts';
import { formatBytes, formatTable } from './format.ts';

/** The result of `verify` as text. */
export function renderVerification({ manifest, place, decoded }: VerifyResult): string {
  const name = `${manifest.tier}/${manifest.id}`;
  const tables = Object.keys(manifest.database.rows).length;
  const size = formatBytes(manifest.object.bytes);
  return decoded
    ? `${name} in ${place}: ${size} read back, hash right, decoded to the end, ${tables} tables with the rows of the manifest\n`
    : `${name} in ${place}: ${size} read back, hash right; NOT decoded: it is encrypted and there is no --identity\n`;
}

/** The settings as a table. */
export function renderConfig(settings: readonly ShownSetting[]): string {
  return formatTable([
    ['SETTING', 'VALUE', 'SOURCE'],
    ...settings.map(({ name, value, source }) => [name, value ?? '-', source]),
  ]);
}

const marks = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' } as const;

/** The findings, one line each, remedies below. */
export function renderFindings(findings: readonly Finding[]): string {
  return findings
    .map(
      ({ check, status, detail, remedy }) =>
        `${marks[status]}  ${check}: ${detail}\n${remedy === null ? '' : `         -> ${remedy}\n`}`,
    )
    .join('');
}
