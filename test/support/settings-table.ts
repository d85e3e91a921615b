// The README's tables of settings, made from the table in the code: a test holds the two equal, so that neither can be
// changed alone.

import { variableNames, variableTable } from '../../src/config/reader.ts';
import type { Section } from '../../src/config/variables.ts';

/** The rows of a section as a Markdown table. */
export function settingsTable(section: Section): string {
  const rows = variableNames
    .filter((name) => variableTable[name].section === section)
    .map((name) => {
      const { preset, presetNote, doc, later } = variableTable[name];
      const standard = preset === null ? (presetNote ?? '') : `\`${preset}\``;
      return `| \`${name}\` | ${standard} | ${doc.replaceAll('|', '\\|')}${later === true ? ' _(not available yet)_' : ''} |`;
    });
  return ['| variable | default | |', '| --- | --- | --- |', ...rows].join('\n');
}
