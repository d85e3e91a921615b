// What `verify`, `config` and `doctor` print for people.

import type { VerifyResult } from '../app/reading-verbs.ts';
import type { ShownSetting } from '../config/shown.ts';
import type { Finding } from '../doctor/finding.ts';
import { formatBytes, formatTable } from '../text/format.ts';

/** The result of `verify` as text. */
export function renderVerification({ manifest, place, decoded, secrets }: VerifyResult): string {
  const name = `${manifest.tier}/${manifest.id}`;
  const tables = Object.keys(manifest.database.rows).length;
  const size = formatBytes(manifest.object.bytes);
  const dump = decoded
    ? `${name} in ${place}: ${size} read back, hash right, decoded to the end, ${tables} tables with the rows of the manifest\n`
    : `${name} in ${place}: ${size} read back, hash right; NOT decoded: it is encrypted and there is no --identity\n`;
  return `${dump}${secretsLines[secrets]}`;
}

const secretsLines = {
  none: '',
  hashed: "Mastodon's settings beside it: read back; NOT opened: there is no --identity\n",
  decrypted: "Mastodon's settings beside it: opened, its secrets are those of the manifest\n",
} as const;

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
