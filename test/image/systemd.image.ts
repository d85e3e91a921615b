// The units of docs/systemd, installed as docs/systemd.md says, in a Debian whose first process is systemd and whose PostgreSQL is one
// of its services. The text is taken from there, but for sudo: the container's user is root.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { blocksOf, commandBlock, pages } from '../support/documentation.ts';
import { docker, dockerOutput, until } from './support/docker.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const container = `mastodon-backup-test-${randomBytes(4).toString('hex')}`;
const daemon = 'mastodon-backup-daemon';

/** What `systemd-analyze security` may say at most, in tenths; the page names it. */
const exposure = 11;

/** A source installation as Mastodon's documentation makes it: the database, and its settings in the home of its user. */
const machine = `
  runuser -u postgres -- psql -qc 'create role mastodon login createdb' \\
    -c 'create database mastodon_production owner mastodon template template0'
  runuser -u postgres -- psql -q mastodon_production -c 'create table statuses (id bigint primary key, text text)' \\
    -c 'alter table statuses owner to mastodon' \\
    -c 'insert into statuses select n, md5(n::text) from generate_series(1, 20000) as n'
  mkdir -p /home/mastodon/live
  cat > /home/mastodon/live/.env.production <<'END'
LOCAL_DOMAIN=social.example
DB_HOST=/var/run/postgresql
DB_NAME=mastodon_production
DB_USER=mastodon
DB_PASS=
END
  chmod 0700 /home/mastodon`;

function block(words: string): string {
  return commandBlock(words)
    .replaceAll('sudo -u postgres', 'runuser -u postgres --')
    .replaceAll('sudo ', '')
    .replaceAll('systemctl status', 'systemctl status --no-pager');
}

describe('the units of docs/systemd', () => {
  before(async () => {
    await dockerOutput([
      'run',
      '-d',
      `--name=${container}`,
      // What the first process of a machine has; an engine may not have every capability to give.
      ...['SYS_ADMIN', 'SYS_PTRACE'].map((name) => `--cap-add=${name}`),
      ...['seccomp=unconfined', 'apparmor=unconfined'].map((option) => `--security-opt=${option}`),
      ...['/run', '/run/lock'].map((folder) => `--tmpfs=${folder}`),
      `--volume=${root}:/opt/mastodon-backup:ro`,
      'mastodon-backup-test/systemd',
    ]);
    await until('systemd has started everything', {
      withinMs: 60_000,
      // Degraded: a unit of Debian's that has no place in a container.
      ask: async () =>
        /^(running|degraded)$/m.test((await docker(['exec', container, 'systemctl', 'is-system-running'])).stdout),
    });
    await type(machine);
  });
  after(async () => docker(['rm', '-f', '-v', container]));

  const attempt = async (lines: string) =>
    docker(['exec', '-i', container, 'bash', '-euo', 'pipefail'], { input: lines });
  const type = async (lines: string): Promise<string> => {
    const { status, stdout, stderr } = await attempt(lines);
    assert.equal(status, 0, `${lines}\n${stdout}${stderr}`);
    return stdout;
  };
  const shown = async (unit: string, property: string): Promise<string> =>
    (await type(`systemctl show --value --property=${property} ${unit}`)).trim();
  const logOf = async (unit: string): Promise<string> => type(`journalctl --no-pager --output=cat --unit=${unit}`);

  it('are installed as the page says, and systemd has nothing to say against them', async () => {
    await type(block('useradd --system'));
    const settings = blocksOf(pages.find(({ file }) => file === 'docs/systemd.md') ?? { file: '', text: '' });
    const [env] = settings.filter(({ language }) => language === 'ini');
    await type(
      `install -m 0600 /dev/stdin /etc/mastodon-backup/env <<'END'\n${env?.text ?? ''}BACKUP_COMPRESSION=none\nEND`,
    );
    await type(block('docs/systemd/. /etc/systemd/system/'));
    const units = await type('cd /etc/systemd/system && ls mastodon-backup-*.service mastodon-backup-*.timer');
    const named = units.replaceAll('run@.service', 'run@daily.service').trim().replaceAll('\n', ' ');
    const { status, stdout, stderr } = await attempt(`systemd-analyze verify ${named}`);
    assert.deepEqual([status, stdout, stderr], [0, '', '']);
  });

  it('back up by hand, start the daemon, and status tells', async () => {
    const said = await type(block('enable --now mastodon-backup-daemon'));
    assert.match(said, /Active: active \(running\)/);
    assert.match(await logOf('mastodon-backup-run@weekly'), /weekly\/\S+: .* dumped.*read back, hashed and decoded/s);
    console.log((await type(`systemctl status --no-pager ${daemon}`)).slice(0, 900));
  });

  it('run every other command with the same settings and secrets', async () => {
    const said = await type(`cd /root\n${block('mastodon-backup-hand')}\nhead -c 5 mastodon.dump`);
    assert.match(said, /signatures: signed by SHA256:/);
    assert.match(said, /rights: the role 'mastodon-backup' may read every table/);
    assert.match(said, /^weekly\/\S+ .* NO +\S+ .iB$/m);
    assert.ok(said.endsWith('PGDMP'));
  });

  it('drill in the sandbox, and have timers', async () => {
    assert.match(await type(block('mastodon-backup-drill.timer')), /mastodon-backup-run@weekly\.timer/);
    await type('systemctl start mastodon-backup-drill');
    assert.match(await logOf('mastodon-backup-drill'), /: passed/);
  });

  it('end within the time they are given when they are stopped in the middle of a run, and take it anew', async () => {
    // The dump waits for a table that somebody holds, so that the stop comes before its end.
    await type(`systemd-run --unit=holder --uid=postgres psql -q mastodon_production \\
      -c 'begin; lock table statuses in access exclusive mode; select pg_sleep(600)'`);
    // Forgotten as well, or it is a place whose backups are gone, where none is made by itself.
    await type(`systemctl stop ${daemon}; rm -rf /srv/mastodon-backups/* /var/lib/mastodon-backup/*`);
    await type(`systemctl start ${daemon}`);
    const invocation = await shown(daemon, 'InvocationID');
    await until('a dump has begun', {
      withinMs: 60_000,
      ask: async () => (await type(`journalctl _SYSTEMD_INVOCATION_ID=${invocation}`)).includes('Dump started'),
    });
    const startedAt = performance.now();
    await type(`systemctl stop ${daemon}`);
    console.log(`stopped after ${Math.round(performance.now() - startedAt)} ms`);
    // Not killed: systemd calls that `timeout`.
    assert.deepEqual([await shown(daemon, 'Result'), await shown(daemon, 'ExecMainStatus')], ['success', '0']);
    assert.equal(await type('find /srv/mastodon-backups -name "*.json"'), '');
    // Its backend would not notice that psql is gone.
    await type(`runuser -u postgres -- psql -qc "select pg_terminate_backend(pid) from pg_stat_activity
      where query like '%pg_sleep%' and pid <> pg_backend_pid()"`);
    await type(`systemctl start ${daemon}`);
    await until('the daemon has taken its first backup', {
      withinMs: 60_000,
      ask: async () => (await type('find /srv/mastodon-backups -name "*.json"')).includes('/daily/'),
    });
    await type(`systemctl stop ${daemon}`);
  });

  it('are failed units when a backup fails, with its exit status', async () => {
    const { status } = await attempt('systemctl stop postgresql@*; systemctl start mastodon-backup-run@daily');
    assert.equal(status, 1);
    assert.equal(await shown('mastodon-backup-run@daily', 'ExecMainStatus'), '10');
    await type('systemctl reset-failed');
  });

  it('do not start again and again with wrong settings', async () => {
    await type(`echo BACKUP_S3_BUKET=x >> /etc/mastodon-backup/env; systemctl start ${daemon}`);
    await until('it has given up', {
      withinMs: 60_000,
      ask: async () => (await shown(daemon, 'ActiveState')) === 'failed',
    });
    assert.deepEqual([await shown(daemon, 'ExecMainStatus'), await shown(daemon, 'NRestarts')], ['2', '0']);
  });

  it('see and may do no more than they need', async () => {
    const said = await type(`systemd-analyze security --no-pager ${daemon}`);
    const [, score = ''] = /Overall exposure level for \S+: (\S+)/.exec(said) ?? [];
    assert.ok(Number(score) * 10 <= exposure, said);
    console.log(
      said
        .split('\n')
        .filter((line) => line.startsWith('✗') || line.startsWith('→'))
        .join('\n'),
    );
  });
});
