// The `demo` profile of the compose example, with the commands that its comments tell.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { docker } from './support/docker.ts';
import { createProject } from './support/mastodon-project.ts';

it('the demo of the compose example backs up, drills and goes away, as its comments say', async () => {
  await using project = createProject({ backupEnvironment: {}, major: 14 });
  const example = readFileSync(path.join(project.directory, 'compose.example.yml'), 'utf8');
  const commands = [...example.matchAll(/^ +# +docker compose -f compose\.example\.yml (--profile demo .*)$/gm)].map(
    ([, rest = '']) => rest.split(' '),
  );
  assert.ok(commands.length >= 4, example);
  let printed = '';
  for (const args of commands) {
    const files = ['-f', 'compose.example.yml', '-f', 'compose.test.yml'];
    const { status, stdout, stderr } = await docker(['compose', ...files, ...args], { cwd: project.directory });
    assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
    printed += stdout;
  }
  assert.match(printed, /^daily\/\S+: .* dumped/m);
  assert.match(printed, /^Drill of daily\/\S+ .*: passed/m);
  assert.match(printed, /^Restored daily\/\S+ .* into the database postgres /m);
  const left = await docker(['volume', 'ls', '-q', '--filter', `label=com.docker.compose.project=${project.name}`]);
  assert.equal(left.stdout, '');
});
