import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeSettings } from '../../src/config/shown.ts';
import { mastodonVariableNames, variableNames, variables } from '../../src/config/table.ts';
import { environmentOf, r2 } from './environments.ts';

describe('the settings as they are shown', () => {
  it('lists every variable once, with its value and where it comes from', () => {
    const shown = describeSettings(environmentOf({ ...r2, DB_PASS_FILE: '/f' }, { '/f': { content: 'hunter22' } }));
    assert.deepEqual(
      shown.map(({ name }) => name),
      [...mastodonVariableNames, ...variableNames],
    );
    const find = (name: string): unknown => {
      const { value, source } = shown.find((one) => one.name === name) ?? {};
      return [value, source];
    };
    assert.deepEqual(find('BACKUP_S3_BUCKET'), ['my-backups', 'environment']);
    assert.deepEqual(find('BACKUP_TIMEOUT'), ['12h', 'default']);
    assert.deepEqual(find('DB_PASS'), ['[set, hidden]', 'file /f']);
    assert.deepEqual(find('BACKUP_AGE_RECIPIENTS'), [null, 'default']);
    assert.deepEqual(find('BACKUP_PG_BIN'), ['found', 'default']);
  });

  it('shows no secret', () => {
    const names = [...variableNames.filter((name) => variables[name].secret === true), 'DB_PASS', 'DATABASE_URL'];
    const shown = describeSettings(environmentOf(Object.fromEntries(names.map((name) => [name, 'topsecret']))));
    assert.ok(!JSON.stringify(shown).includes('topsecret'));
  });

  it('shows no private key that stands where a public one belongs', () => {
    const shown = describeSettings(
      environmentOf({ BACKUP_AGE_RECIPIENTS: 'AGE-SECRET-KEY-1QQQQ', BACKUP_S3_ENDPOINT: 'https://a:b-secret@h' }),
    );
    assert.ok(!/QQQQ|b-secret/.test(JSON.stringify(shown)));
  });
});
