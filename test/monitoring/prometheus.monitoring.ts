// What docs/monitoring gives to those who have Prometheus and Grafana: Prometheus' own tool finds nothing wrong with what is
// served and with the rules, and a real Prometheus that scrapes real daemons answers every query of the dashboard.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startInstance, type RunningInstance } from '../page/instances.ts';
import { checkout } from '../support/documentation.ts';
import { freePort, startPostgres, type PostgresServer } from '../support/postgres-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const folder = path.join(checkout, 'docs/monitoring');

interface Dashboard {
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly panels: readonly { readonly title: string; readonly targets: readonly { readonly expr: string }[] }[];
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly { readonly metric: Record<string, string>; readonly value: readonly [number, string] }[];
  };
}

function promtool(args: readonly string[], input = ''): string {
  const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: folder, input, encoding: 'utf8' });
  assert.equal(status, 0, `promtool ${args.join(' ')}: ${stdout}${stderr}`);
  return `${stdout}${stderr}`;
}

describe('the rules', () => {
  it('are rules, and fire when they should and not before', () => {
    assert.match(promtool(['check', 'rules', 'alerts.yml']), /SUCCESS: \d+ rules found/);
    assert.match(promtool(['test', 'rules', 'alerts.test.yml']), /SUCCESS/);
  });

  it('are tested one and all', () => {
    const rules = [...readFileSync(path.join(folder, 'alerts.yml'), 'utf8').matchAll(/alert: (\w+)/g)];
    const tests = readFileSync(path.join(folder, 'alerts.test.yml'), 'utf8');
    assert.ok(rules.length > 5);
    for (const [, name] of rules) assert.match(tests, new RegExp(`alertname: ${name}\\b`));
  });
});

describe('a Prometheus', () => {
  let postgres: PostgresServer;
  let full: RunningInstance;
  let late: RunningInstance;
  let url: string;
  const scratch = temporaryDirectory();
  const stop = new AbortController();
  const targets = (): readonly string[] => [full.url, late.url].map((one) => one.replace('http://', ''));
  const ask = async (query: string): Promise<Answer> =>
    (await (await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`)).json()) as Answer;

  before(async () => {
    postgres = await startPostgres({ major: 15 });
    await postgres.createDatabase('mastodon_production');
    [full, late] = await Promise.all([
      startInstance('healthy', { server: postgres }),
      startInstance('late', { server: postgres }),
    ]);
    const config = path.join(scratch.path, 'prometheus.yml');
    // As the documentation has it, but every second, and with the addresses of these two.
    const [, documented = ''] =
      /```(?:yaml|text)\n(.*?)```/s.exec(readFileSync(path.join(checkout, 'docs/monitoring.md'), 'utf8')) ?? [];
    assert.match(documented, /targets: \['backup:9187'\]/);
    writeFileSync(
      config,
      `global: { scrape_interval: 1s, evaluation_interval: 1s }\n${documented
        .replace('/etc/prometheus/mastodon-backup-alerts.yml', path.join(folder, 'alerts.yml'))
        .replace("['backup:9187']", JSON.stringify(targets()))}`,
    );
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const child = spawn(
      'prometheus',
      [`--config.file=${config}`, `--storage.tsdb.path=${scratch.path}/data`, `--web.listen-address=127.0.0.1:${port}`],
      { stdio: ['ignore', 'ignore', 'pipe'], signal: stop.signal, killSignal: 'SIGKILL' },
    );
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    child.on('error', () => undefined);
    await until('Prometheus has scraped both daemons', {
      seconds: 20,
      look: async () => {
        assert.equal(child.exitCode, null, said);
        const answer = await ask('count(mastodon_backup_info)').catch(() => null);
        return answer?.data.result.some(({ value: [, count] }) => count === '2') === true;
      },
    });
  });
  after(async () => {
    stop.abort();
    await Promise.all([full, late].map(async (one) => one[Symbol.asyncDispose]()));
    await postgres[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  it('finds nothing wrong with what daemons serve', async () => {
    for (const { url: daemon } of [full, late])
      assert.equal(promtool(['check', 'metrics'], await (await fetch(`${daemon}/metrics`)).text()), '');
  });

  it('answers every query of the dashboard', async () => {
    const text = readFileSync(path.join(folder, 'dashboard.json'), 'utf8');
    const { panels, templating } = JSON.parse(text) as Dashboard;
    const variables = templating.list.map(({ name }) => name);
    assert.ok(panels.length > 5);
    for (const { title, targets: queries } of panels)
      for (const { expr } of queries) {
        const query = expr.replaceAll(/\$(\w+)/g, (_, name: string) => {
          assert.ok(variables.includes(name), `${title} asks for $${name}`);
          return '.*';
        });
        // What has changed is known after the second scrape.
        const found = await until(`${title}: an answer to ${query}`, {
          seconds: 5,
          look: async () => {
            const { status, error, data } = await ask(query);
            assert.equal(status, 'success', `${title}: ${error}`);
            return data.result[0];
          },
        });
        console.log(`${title}: ${JSON.stringify(found)}`);
      }
    for (const { definition } of templating.list) {
      const [, metric] = /^label_values\((\w+)/.exec(definition ?? '') ?? [];
      if (metric !== undefined) assert.ok((await ask(metric)).data.result.length > 0, metric);
    }
  });

  it('has the rules, and finds the late one late and its wrong clock wrong', async () => {
    await until('the alerts', {
      seconds: 20,
      look: async () => {
        const found = (await ask('ALERTS')).data.result.map(
          ({ metric }) => `${metric['alertname']} ${metric['instance']}`,
        );
        return [`MastodonBackupLate ${targets()[1]}`, `MastodonBackupClockWrong ${targets()[0]}`].every((one) =>
          found.includes(one),
        );
      },
    });
  });
});
