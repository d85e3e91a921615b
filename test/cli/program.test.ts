// What a script that calls the command gets: an exit status, one line that says why, and with --json one document always.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { Command } from 'commander';
import type { CommandContext } from '../../src/cli/command-context.ts';
import { commandModules, loadCommands } from '../../src/cli/command-modules.ts';
import { openApp } from '../support/app.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { runCommand, runProcess } from '../support/command.ts';
import { putSnapshot } from '../support/manifests.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it('a failure is one JSON document on stdout where --json is asked for', async () => {
  using folder = temporaryDirectory();
  const environment = { BACKUP_LOCAL_DIR: folder.path, DB_HOST: '127.0.0.1', DB_PORT: '9', DB_PASS: 'pässword-9' };
  for (const { args, status, code } of [
    { args: ['run', '--json'], status: 10, code: 'database' },
    { args: ['verify', '--json'], status: 4, code: 'no-snapshot' },
    { args: ['list', '--json', '--from', 's3'], status: 2, code: 'usage' },
    { args: ['run', 'sometimes', '--json'], status: 2, code: 'usage' },
    { args: ['run', '--json', '--no-such-option'], status: 2, code: 'usage' },
  ]) {
    const result = await runCommand(args, { ...environment, BACKUP_STATE_DIR: `${folder.path}/.state` });
    assert.equal(result.status, status, result.stderr);
    const { error } = JSON.parse(result.stdout) as {
      error: { code: string; exitStatus: number; message: string; hint: string | null };
    };
    assert.equal(error.code, code);
    assert.equal(error.exitStatus, status);
    assert.ok(result.stderr.includes(error.message));
    assert.ok(error.hint !== null);
  }
  const broken = await runProcess(['config', '--json'], { ...environment, BACKUP_TIMEOUT: 'soon' });
  assert.equal(broken.status, 2);
  assert.match((JSON.parse(broken.stdout) as { error: { message: string } }).error.message, /BACKUP_TIMEOUT 'soon'/);
});

it('an option that would change nothing is refused, for who wrote it believes that it did', async () => {
  using folder = temporaryDirectory();
  const environment = { BACKUP_LOCAL_DIR: folder.path, DB_HOST: '127.0.0.1', DB_PORT: '9' };
  const file = path.join(folder.path, 'out');
  const ofDatabase = [
    ['--schema', 'public'],
    ['--without-extension', 'pg_repack'],
    ['--create-role'],
    ['--owner', 'somebody'],
    ['--locale', 'C'],
    ['--sequences-ahead', '1000000'],
  ];
  const goals = [
    ['latest', '--output', file],
    ['latest', '--secrets-output', file],
    ['latest', '--extra-output', file],
    ['--at', 'latest', '--output', file],
    ['--at', 'latest', '--data-directory', file],
  ];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    ...goals.flatMap((goal) =>
      ofDatabase.map(
        (words) =>
          [
            ['restore', ...goal, ...words],
            new RegExp(`option '${words[0]}.*' cannot be used with option '${goal.at(-2)} .*Leave one of the two out`),
          ] as const,
      ),
    ),
    ...['--output', '--secrets-output', '--extra-output'].map(
      (goal) => [['restore', 'latest', goal, '-', '--json'], /has no room for a JSON document/] as const,
    ),
    [['restore', '--at', 'latest', '--output', '-', '--json'], /has no room for a JSON document/],
    [['restore', 'latest', '--to-database', 'x', '--schema', 'public', '--all-schemas'], /cannot be used with option/],
    [['drill', 'daily/2026-11-23T120000Z-4f1c2a', '--pitr'], /cannot both be drilled/],
    [['drill', 'latest', '--pitr'], /cannot both be drilled/],
    [['pitr', 'status', '--from', 'local'], /pitr status has no --from/],
    [['pitr', 'base', '--identity', file], /pitr base has no --identity/],
    [['pitr', 'base', '--instance', 'example.social'], /pitr base has no --instance/],
    [['pitr', 'status', '--wait'], /pitr status has no --wait/],
    [['pitr', 'verify', '--wait', '--json'], /pitr verify has no --wait/],
  ];
  for (const [args, says] of cases) {
    const result = await runCommand(args, environment);
    assert.equal(result.status, 2, `${args.join(' ')}: ${result.stderr}`);
    assert.match(result.stderr, says, args.join(' '));
    // The reason, and what to write instead.
    assert.match(result.stderr, /\n {4}|\. \S/, args.join(' '));
  }
  assert.deepEqual(readdirSync(folder.path), []);
});

it('what doctor finds is its document, and nothing follows it', async () => {
  using folder = temporaryDirectory();
  const result = await runProcess(['doctor', '--json'], {
    BACKUP_LOCAL_DIR: folder.path,
    DB_HOST: '127.0.0.1',
    DB_PORT: '9',
  });
  assert.equal(result.status, 5);
  assert.ok(Array.isArray(JSON.parse(result.stdout)));
});

it('wrong arguments are told in one line, and the command that helps in the next', async () => {
  for (const [args, says] of [
    [
      ['pin'],
      /^mastodon-backup: missing required argument 'snapshot'\. Write latest, .*:\n {4}bin\/mastodon-backup list$/,
    ],
    [['help', 'nope'], /^mastodon-backup: unknown command 'nope'\. See .*:\n {4}bin\/mastodon-backup --help$/],
    [[], /^mastodon-backup: No command was given\. See .*:\n {4}bin\/mastodon-backup --help$/],
    [['frobnicate'], /^mastodon-backup: unknown command 'frobnicate'\. See .*:\n {4}bin\/mastodon-backup --help$/],
    [
      ['run', 'sometimes'],
      /^mastodon-backup: .*'sometimes'.*Write one of hourly, .*yearly\. See .*:\n {4}bin\/mastodon-backup --help$/,
    ],
    [
      ['run', 'daily', 'weekly'],
      /^mastodon-backup: too many arguments.*[^.]\. See .*:\n {4}bin\/mastodon-backup --help$/,
    ],
  ] as const) {
    const result = await runCommand(args, {});
    assert.equal(result.status, 2);
    assert.equal(result.stdout, '');
    assert.match(result.stderr.trimEnd(), says);
  }
});

it('health has no exit status but 0 and 1', async () => {
  const result = await runCommand(['health', '--nope'], {});
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^mastodon-backup: unknown option '--nope'/);
});

it('a label is one line, and what is stored with another one is listed on one', async () => {
  using folder = temporaryDirectory();
  const environment = { BACKUP_LOCAL_DIR: folder.path, BACKUP_STATE_DIR: path.join(folder.path, '.state') };
  for (const label of ['a\nb', 'a\u001b[2Jb', 'a\u202eb', 'a\tb']) {
    const result = await runCommand(['run', '--label', label], environment);
    assert.equal(result.status, 2, label);
    assert.match(result.stderr, /--label <text>' argument .* is invalid\. Write one line, without control characters/s);
  }
  const store = createLocalStore({ directory: folder.path });
  const label = 'x"\nlabelled/2026-01-02T000000Z-aaaaaa  01 Jan 00:00\u001b[2J';
  await putSnapshot(store, { tier: 'labelled', label });
  await putSnapshot(store, { label: null, tier: 'daily' });
  const { stdout } = await runCommand(['list'], environment);
  assert.equal(stdout.trimEnd().split('\n').length, 3, stdout);
  assert.match(stdout, /"x"\ufffdlabelled\/\S+ {2}01 Jan 00:00\ufffd\[2J"/);
});

it('a command is in the file that is loaded for it, and is helped with as ever', async () => {
  const program = new Command();
  const app = openApp({});
  const context = { app, program: 'x', toolVersion: '0' } as unknown as CommandContext;
  for (const { names, load } of commandModules) {
    const before = program.commands.length;
    (await load())(program, context, []);
    const added = program.commands.slice(before).map((command) => command.name());
    assert.deepEqual(added, names);
    assert.equal((await loadCommands(names[0])).length, names.includes('completion') ? commandModules.length : 1);
  }
  assert.equal((await loadCommands('--help')).length, commandModules.length);
  const slip = await runCommand(['helth'], {});
  assert.match(slip.stderr, /unknown command 'helth'\s+\(Did you mean health\?\)/);
  const help = await runCommand(['help', 'list'], {});
  assert.match(help.stdout, /committed snapshots, newest first/);
});
