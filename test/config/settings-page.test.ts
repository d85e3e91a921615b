import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { format } from 'prettier';
import { endMarker, renderSettingsMarkdown, startMarker } from './settings-markdown.ts';
import { variableNames } from '../../src/config/table.ts';

const text = readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8');

async function normalised(markdown: string): Promise<string> {
  return (await format(markdown, { parser: 'markdown' })).trim();
}

describe('the page of settings', () => {
  it('has exactly the settings of the table', async () => {
    assert.ok(text.includes(startMarker) && text.includes(endMarker));
    const table = text.slice(text.indexOf(startMarker) + startMarker.length, text.indexOf(endMarker));
    const hint = `Put the output of node test/config/settings-markdown.ts between ${startMarker} and ${endMarker}`;
    assert.equal(await normalised(table), await normalised(renderSettingsMarkdown()), hint);
  });

  it('is given a row for every setting, with a line of explanation', () => {
    const rows = renderSettingsMarkdown()
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    for (const name of variableNames)
      assert.equal(rows.filter((row) => row.startsWith(`| \`${name}\` |`)).length, 1, name);
    for (const row of rows) assert.match(row, /^\| `\w+` \|[^|]*\| [^|]{4,} \|$/);
  });
});
