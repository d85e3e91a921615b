// The README says what is true: its commands are those of the program, its scripts exist.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { runCommand } from './support/command.ts';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const scripts = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { scripts: Record<string, string> }
).scripts;

it('every command of --help is in the README, and the other way round', async () => {
  const { stdout } = await runCommand(['--help'], {});
  const commands = [...stdout.matchAll(/^ {2}([\w-]+) /gm)]
    .map((match) => match[1] ?? '')
    .filter((name) => name !== 'help');
  assert.ok(commands.includes('daemon') && commands.includes('run'), stdout);
  // One may have several rows.
  const inTable = [...new Set([...readme.matchAll(/^\| `([a-z][a-z-]*)/gm)].map((match) => match[1] ?? ''))];
  assert.deepEqual(
    inTable.filter((name) => commands.includes(name)).toSorted(),
    commands.toSorted(),
    'the table of commands in the README',
  );
  for (const command of commands) assert.match(readme, new RegExp(`\`${command}[ \`]`));
  for (const [, command = ''] of readme.matchAll(/mastodon-backup ([\w-]+)/g)) {
    assert.ok(commands.includes(command), `${command} is not a command`);
  }
});

it('every npm script the README names exists', () => {
  const named = [...readme.matchAll(/npm (?:run )?(\w[\w:-]*)/g)]
    .map((match) => match[1] ?? '')
    .filter((name) => !['ci', 'install'].includes(name));
  assert.ok(named.includes('demo') && named.includes('test') && named.includes('start'));
  for (const name of named) assert.ok(scripts[name] !== undefined, name);
});
