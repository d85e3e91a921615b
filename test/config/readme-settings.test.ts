import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { format } from 'prettier';
import { endMarker, renderSettingsMarkdown, startMarker } from './settings-markdown.ts';
import { variableNames } from '../../src/config/variables.ts';

const readme = new URL('../../README.md', import.meta.url);
const text = existsSync(readme) ? readFileSync(readme, 'utf8') : '';
const hasMarkers = text.includes(startMarker) && text.includes(endMarker);

async function normalised(markdown: string): Promise<string> {
  return (await format(markdown, { parser: 'markdown' })).trim();
}

describe('the README', () => {
  it(
    'has exactly the settings of the table',
    { skip: hasMarkers ? false : 'README.md has no markers yet' },
    async () => {
      const table = text.slice(text.indexOf(startMarker) + startMarker.length, text.indexOf(endMarker));
      const hint = `Put the output of node test/config/settings-markdown.ts between ${startMarker} and ${endMarker}`;
      assert.equal(await normalised(table), await normalised(renderSettingsMarkdown()), hint);
    },
  );

  it('is given a row for every setting, with a line of explanation', () => {
    const rows = renderSettingsMarkdown()
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    for (const name of variableNames)
      assert.equal(rows.filter((row) => row.startsWith(`| \`${name}\` |`)).length, 1, name);
    for (const row of rows) assert.match(row, /^\| `\w+` \|[^|]*\| [^|]{4,} \|$/);
  });
});
