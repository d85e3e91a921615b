// The table of settings as docs/settings.md has it, between `<!-- settings -->` and `<!-- /settings -->`. To write it anew:
// node test/config/settings-markdown.ts

import type { ForeignVariable, Section } from '../../src/config/variable.ts';
import { mastodonVariableNames, mastodonVariables, variableNames, variables } from '../../src/config/table.ts';

/** The line before the table in docs/settings.md. */
export const startMarker = '<!-- settings -->';
/** The line after it. */
export const endMarker = '<!-- /settings -->';

const titles: Readonly<Record<Section, string>> = {
  database: "Database: Mastodon's own variables, and ours",
  destination: 'Destination: R2 or any S3, a directory, or both',
  plan: 'Plan',
  messages: 'Telling people',
};

/** All settings as Markdown: a heading and a table for each section. */
export function renderSettingsMarkdown(): string {
  return (Object.keys(titles) as readonly Section[]).map(renderSection).join('\n\n');
}

function renderSection(section: Section): string {
  const foreign =
    section === 'database' ? mastodonVariableNames.map((name) => renderRow(name, mastodonVariables[name])) : [];
  const ours = variableNames
    .filter((name) => variables[name].section === section)
    .map((name) => renderRow(name, variables[name]));
  return [
    `## ${titles[section]}`,
    '',
    '| variable | default | what |',
    '| --- | --- | --- |',
    ...foreign,
    ...ours,
  ].join('\n');
}

function renderRow(name: string, row: ForeignVariable): string {
  const preset = row.presetNote ?? (row.preset === null ? '' : `\`${row.preset}\``);
  return `| \`${name}\` | ${cell(preset)} | ${cell(row.doc)} |`;
}

function cell(text: string): string {
  return text.replaceAll('|', String.raw`\|`);
}

if (import.meta.main) console.log(renderSettingsMarkdown());
