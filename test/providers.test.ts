// The pages of docs/providers: their settings are such as the program takes, and each peculiarity that is told of a provider has the
// page that says so.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { settingsOf, read } from './config/environments.ts';
import { blocksOf, checkout, pages } from './support/documentation.ts';

const providers = pages.filter(({ file }) => file.startsWith('docs/providers/'));

describe('the pages of providers', () => {
  it('are all in the table of docs/providers.md', () => {
    const index = pages.find(({ file }) => file === 'docs/providers.md')?.text ?? '';
    const named = [...index.matchAll(/^\| \[[^\]]+\]\(providers\/([\w.-]+)\)/gm)].map(([, file]) => file ?? '');
    assert.deepEqual(named.toSorted(), readdirSync(path.join(checkout, 'docs/providers')).toSorted());
  });

  for (const page of providers) {
    it(`${page.file} has settings that are taken without a warning, and a source for what is peculiar`, () => {
      const [block] = blocksOf(page).filter(({ language }) => language === 'ini');
      const lines = (block?.text ?? '').trim().split('\n');
      const environment = Object.fromEntries(
        lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
      );
      const own = { LOCAL_DOMAIN: 'social.example', ...environment };
      assert.equal(settingsOf(own).destinations.length, 1);
      assert.deepEqual(read(own).warnings, []);
      for (const part of ['**doctor**: `', '## Peculiarities\n']) assert.ok(page.text.includes(part), part);
      const peculiar = page.text.slice(page.text.indexOf('## Peculiarities')).split(/\n- /).slice(1);
      assert.ok(peculiar.filter((one) => one.includes('](https://')).length >= 3 || page.file.endsWith('ceph.md'));
    });
  }
});
