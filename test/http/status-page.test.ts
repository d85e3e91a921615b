// The status page as a browser gets it: nothing of it can become a script, nothing of it comes from elsewhere, it is let in by a
// token, and it is there at once, however much is stored.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Status } from '../../src/status/status.ts';
import { viewStatus } from '../../src/status/status.ts';
import { startHttp, type HttpOptions } from '../../src/http/server.ts';
import { statusPage } from '../../src/http/status-page.ts';
import { html, toText } from '../../src/text/html.ts';
import type { DrillReport } from '../../src/state/records.ts';
import { drillAt, holding, keptOf, madeAt, now, statusFacts, timetable, yearOfRuns } from '../support/status-facts.ts';
import { openApp } from '../support/app.ts';

const planted = `<script>alert(1)</script>"><img src=x onerror='x'>`;
const usual: HttpOptions = { listen: '127.0.0.1', port: 0, token: null, ownNames: [], toolVersion: '0' };
const page = (status: Status): string => statusPage(status, { refreshSeconds: 60 });

describe('the template', () => {
  it('escapes whatever is put into it but what it has made itself', () => {
    const item = html`<b title="${planted}">${planted}</b>`;
    const whole = toText(html`<p>${[item, item]}${null}${false}${3}</p>`);
    assert.doesNotMatch(whole, /<script|<img|onerror='/);
    assert.match(whole, /^<p><b title="&lt;script&gt;.*<\/b>3<\/p>$/);
  });
});

describe('the page', () => {
  it('shows planted markup as text, wherever it stands, also a name of a thousand characters', () => {
    const long = 't'.repeat(1_000);
    const failure = { at: now.toISOString(), step: planted, message: `${planted} ${long}`, hint: null };
    const facts = statusFacts({
      instance: planted,
      stores: [
        holding([madeAt('labelled', now, { label: planted }), ...keptOf(yearOfRuns())], {
          description: planted,
          error: planted,
          apart: { [planted]: 2 },
        }),
      ],
      attempts: {
        failures: { daily: failure },
        warnings: [`${planted} ${long}`],
        channels: [{ channel: planted, error: planted, at: now.toISOString() }],
        running: { command: planted, tier: 'daily', since: now.toISOString() },
      },
      history: {
        since: '2025-11-20T00:00:00.000Z',
        runs: [],
        failures: [{ tier: planted, at: now.toISOString(), step: planted, message: planted }],
      },
    });
    const text = page(viewStatus(facts));
    // No text has an angle bracket of its own, so this is all markup that there is.
    for (const [tag] of text.matchAll(/<[^>]*>/g))
      assert.doesNotMatch(tag, /^<\/?(script|img|style|iframe)|\s(on\w+|style)=/i);
    assert.ok(text.split('&lt;script&gt;').length > 8, 'it is shown');
    assert.ok(text.includes(long));
  });

  it('says the verdict in its title and its icon, and not by colour alone', () => {
    const healthy = page(viewStatus(statusFacts()));
    assert.match(healthy, /<title>✓ All is backed up · social\.example<\/title>/);
    assert.match(healthy, /href="\/icon\/good\.svg"/);
    const silent = page(viewStatus(statusFacts({ heartbeatAt: new Date(now.getTime() - 3_600_000) })));
    assert.match(silent, /<title>✕ The backup service is silent/);
    assert.match(silent, /href="\/icon\/bad\.svg"/);
  });

  it('names the days of its curves in the zone that was set', () => {
    const lastDay = (timeZone: string): string | undefined => {
      const text = page(viewStatus(statusFacts({ timetable: { ...timetable, timeZone } })));
      return /<div class="axis"><span>[-\d]+<\/span><span>([-\d]+)</.exec(text)?.[1];
    };
    // The newest is of noon in UTC.
    assert.equal(lastDay('UTC'), '2026-11-25');
    assert.equal(lastDay('Pacific/Kiritimati'), '2026-11-26');
  });

  it('is there for an instance that has nothing', () => {
    const none = { stores: [], history: null, drills: null, attempts: { drill: null, prune: null, channels: [] } };
    assert.match(page(viewStatus(statusFacts(none))), /There is no backup yet/);
  });

  it('of ten thousand snapshots is as small as another one', () => {
    const plan = { ...timetable, schedules: { ...timetable.schedules, hourly: '0 * * * *' } };
    const status = viewStatus(statusFacts({ timetable: plan, stores: [holding(yearOfRuns(417, plan))] }));
    assert.ok(status.snapshots.length > 10_000);
    const text = page(status);
    assert.ok(text.length < 200_000, `${text.length}`);
    assert.match(text, /older ones not shown here/);
  });
});

describe('the server', () => {
  const app = openApp({ BACKUP_LOCAL_DIR: '/nowhere', DB_HOST: 'db' });
  const report: DrillReport = drillAt(new Date('2026-11-22T15:08:00Z'), {
    checks: [{ check: 'rows', status: 'failed', detail: planted, remedy: planted }],
    status: 'failed',
  });
  const shown = {
    log: app.log,
    remembered: async () => app.remembered(),
    status: async () => viewStatus(statusFacts()),
    drillReport: async (id: string) => (id === report.id ? report : null),
  };
  let server: Awaited<ReturnType<typeof startHttp>>;
  let guarded: Awaited<ReturnType<typeof startHttp>>;
  before(async () => {
    server = await startHttp(shown, usual);
    guarded = await startHttp(shown, { ...usual, token: 'pass:wörd' });
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await guarded[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
  });
  const get = async (path: string, headers: Readonly<Record<string, string>> = {}, { port } = server) =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers });

  it('lets nothing run and nothing be loaded from elsewhere', async () => {
    for (const path of ['/', '/status.json', '/style.css', '/icon/good.svg', `/drills/${report.id}`, '/nothing']) {
      const { headers } = await get(path);
      const policy = headers.get('content-security-policy') ?? '';
      assert.match(policy, /^default-src 'none'; style-src 'self'; img-src 'self'; .*frame-ancestors 'none'$/, path);
      assert.doesNotMatch(policy, /unsafe|script-src|http/);
      assert.equal(headers.get('x-content-type-options'), 'nosniff');
    }
    const text = await (await get('/')).text();
    for (const [, target = ''] of text.matchAll(/(?:href|src)="([^"]*)"/g)) assert.match(target, /^\/(?!\/)/);
  });

  it('refreshes the page by itself unless it is held', async () => {
    assert.equal((await get('/')).headers.get('refresh'), '60');
    assert.equal((await get('/?hold')).headers.get('refresh'), null);
  });

  it('makes the page for a crowd once, not once each', async () => {
    let made = 0;
    let remembered = 0;
    const counted = {
      ...shown,
      status: async () => {
        made += 1;
        return shown.status();
      },
      remembered: async () => {
        remembered += 1;
        return shown.remembered();
      },
    };
    await using crowded = await startHttp(counted, usual);
    const startedAt = performance.now();
    const answers = await Promise.all(Array.from({ length: 100 }, async () => (await get('/', {}, crowded)).status));
    for (const path of ['/metrics', '/healthz'])
      await Promise.all(Array.from({ length: 50 }, async () => get(path, {}, crowded)));
    assert.ok(answers.every((status) => status === 200));
    const most = 1 + Math.ceil((performance.now() - startedAt) / 1_000);
    assert.ok(made <= most, `it was made ${made} times`);
    assert.ok(remembered >= 1 && remembered <= most, `what is remembered was read ${remembered} times`);
  });

  it('serves the same as JSON', async () => {
    const { verdict, snapshots } = (await (await get('/status.json')).json()) as Status;
    assert.equal(verdict.headline, 'All is backed up');
    assert.equal(snapshots.length, keptOf(yearOfRuns()).length);
  });

  it('serves a drill that is remembered, and no other', async () => {
    const text = await (await get(`/drills/${report.id}`)).text();
    assert.match(text, /The backup did not become a working database/);
    assert.doesNotMatch(text, /<script|<img/);
    for (const path of [
      '/drills/',
      '/drills/none',
      '/drills/..%2f..%2fstate',
      `/drills/${report.id}/x`,
      '/icon/constructor.svg',
    ])
      assert.equal((await get(path)).status, 404, path);
  });

  it('asks a browser for a password, whoever it is, and a monitor for a bearer', async () => {
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const refused = await get('/', {}, guarded);
    assert.equal(refused.status, 401);
    assert.match(refused.headers.get('www-authenticate') ?? '', /Basic realm="mastodon-backup"/);
    assert.equal((await get('/metrics', {}, guarded)).headers.get('www-authenticate'), 'Bearer');
    for (const path of ['/', '/status.json', '/style.css', '/icon/good.svg', `/drills/${report.id}`])
      assert.equal((await get(path, {}, guarded)).status, 401, path);
    for (const name of ['', 'admin', 'x y'])
      assert.equal((await get('/', basic(`${name}:pass:wörd`), guarded)).status, 200);
    for (const text of ['pass:wörd', 'admin:wörd', ':', ''])
      assert.equal((await get('/', basic(text), guarded)).status, 401, text);
    // The bytes of the one are UTF-8, as curl sends what was typed; those of the other Latin-1.
    for (const text of [Buffer.from('pass:wörd').toString('latin1'), 'pass:wörd'])
      assert.equal((await get('/', { authorization: `Bearer ${text}` }, guarded)).status, 200, text);
    for (const text of ['wrong', 'pass:w\u00C3rd', ''])
      assert.equal((await get('/', { authorization: `Bearer ${text}` }, guarded)).status, 401, text);
  });
});
