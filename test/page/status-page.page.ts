// The status page of real daemons in a real browser: in every state, on a phone and on a desk, by day and by night, it is as wide
// as the window, loads all of itself, and axe-core finds nothing wrong with it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { until } from '../support/until.ts';
import { startBrowser, type Browser } from './browser.ts';
import { startInstance, stateNames, type StateName } from './instances.ts';
import { look } from './look.ts';

const titles: Readonly<Record<StateName, RegExp>> = {
  healthy: /^✓ All is backed up/,
  late: /^✕ The daily backup is late/,
  failed: /^✕ The newest backup failed its restore drill/,
  running: /^✓ All is backed up/,
  empty: /^… There is no backup yet/,
  full: /^✓ All is backed up/,
};
describe('the page of a daemon', () => {
  let server: PostgresServer;
  let browser: Browser;
  before(async () => {
    server = await startPostgres({ major: 15 });
    await server.createDatabase('mastodon_production');
    browser = await startBrowser();
  });
  after(async () => {
    await browser[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
  });

  for (const name of stateNames) {
    it(`that is ${name} can be read at every width, by day and by night`, async () => {
      await using instance = await startInstance(name, { server });
      await using sheet = await browser.open(`${instance.url}/?hold`);
      assert.match(sheet.title, titles[name]);
      await look(sheet, name);
      if (name !== 'failed') return;
      const { drills } = await instance.status();
      await using drill = await browser.open(`${instance.url}/drills/${drills.report?.id}`);
      assert.match(drill.title, /^✕ Drill failed/);
      await look(drill, 'its drill');
    });
  }

  it('refreshes by itself while something is under way', async () => {
    await using instance = await startInstance('running', { server });
    await using sheet = await browser.open(instance.url);
    await until('it is loaded again', { seconds: 15, look: async () => sheet.loads() > 1 });
  });

  it('opens with the token as its password', async () => {
    const token = 'nobody knows it';
    await using instance = await startInstance('healthy', {
      server,
      environment: { BACKUP_HTTP_TOKEN: token },
    });
    await using shown = await browser.open(`${instance.url}/?hold`, { password: token });
    assert.match(await shown.text(), /All is backed up/);
    assert.deepEqual(shown.troubles, []);
  });
});
