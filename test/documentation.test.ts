// README.md and docs/ say what is true: commands, flags, scripts and paths are there, links lead somewhere, and each block of
// commands is typed by a test.

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { format } from 'prettier';
import { renderRoomsMarkdown, endMarker, startMarker } from './architecture/table.ts';
import { exitStatuses } from '../src/errors.ts';
import { runCommand } from './support/command.ts';
import { blocksOf, checkout, commandBlock, commandBlocks, pages, proseOf } from './support/documentation.ts';

/** Which file types the block with which words. Each names the words itself. */
const typedBy: Readonly<Record<string, readonly string[]>> = {
  'test/integration/documented-commands.test.ts': [
    'bin/mastodon-backup doctor',
    'bin/mastodon-backup --help',
    'npx node --test',
    'age-keygen -o',
    'keygen --output',
    '< ID.json',
    'adopt --all',
  ],
  'test/integration/open.test.ts': [
    'open latest -- "select count(*) from accounts"',
    'create table follows_before',
    '> alice.json',
    '--to-database mastodon_staging',
    '--to-database mastodon_rehearsal',
  ],
  'test/pitr/stock-moment.test.ts': ['recovery_target_time'],
  'test/pitr/signed-log.test.ts': ['sha256sum'],
  'test/integration/recovery-kit.test.ts': ['createdb -T template0'],
  'test/integration/media-page.test.ts': ['--entrypoint rclone'],
  'test/image/documented-commands.image.ts': [
    'docker build',
    '/dev/stdin backup-secrets',
    'COMPOSE_FILE=',
    '--label before-upgrade',
    'mastodon-backup compare latest',
    '--to-database mastodon_production',
    '--secrets-output -',
    '> kit.html',
  ],
  'test/image/upgrade.image.ts': [
    'up -d db18',
    'upgrade rehearse --to db18',
    'upgrade run --to db18',
    'prune --accept-new-server',
  ],
  'test/image/systemd.image.ts': [
    'useradd --system',
    'docs/systemd/. /etc/systemd/system/',
    'enable --now mastodon-backup-daemon',
    'mastodon-backup-drill.timer',
    'mastodon-backup-hand',
  ],
  '.ci/run': ['npm run demo', 'npm test'],
};

const scripts = (
  JSON.parse(readFileSync(path.join(checkout, 'package.json'), 'utf8')) as { scripts: Record<string, string> }
).scripts;
const everything = pages.map(({ text }) => text).join('\n');

function page(file: string): string {
  const found = pages.find((one) => one.file === file);
  assert.ok(found, file);
  return found.text;
}

describe('the commands of the documentation', () => {
  it('are typed by a test, block by block', () => {
    for (const [file, all] of Object.entries(typedBy)) {
      const text = readFileSync(path.join(checkout, file), 'utf8');
      for (const words of all) {
        commandBlock(words);
        assert.ok(text.includes(words), `${file} types no block with '${words}'`);
      }
    }
    const typed = Object.values(typedBy).flat();
    const others = commandBlocks.filter(({ text }) => !typed.some((words) => text.includes(words)));
    assert.deepEqual(others, []);
  });

  it('are in blocks that say so', () => {
    for (const one of pages) {
      for (const { language, text } of blocksOf(one)) {
        assert.match(language, /^(sh|ini|json|text)$/, `${one.file}: a block of '${language}'\n${text}`);
        if (language === 'sh') continue;
        assert.doesNotMatch(
          text,
          /^\s*(\$ |#|sudo|docker|npm|npx|node|bin\/|mastodon-backup|pg_|psql|age|curl)/m,
          one.file,
        );
      }
      assert.doesNotMatch(proseOf(one), /\n\n( {4,}|\t)(?![-*\d])\S|<pre/, `${one.file} has a block without a fence`);
    }
  });

  it('are commands and flags of --help, and the table has all of them', async () => {
    const { stdout } = await runCommand(['--help'], {});
    const commands = [...stdout.matchAll(/^ {2}([\w-]+) /gm)]
      .map((match) => match[1] ?? '')
      .filter((name) => name !== 'help');
    assert.ok(commands.includes('daemon') && commands.includes('run'), stdout);
    // One may have several rows.
    const rows = page('docs/commands.md')
      .split('\n')
      .filter((line) => /^\| `[a-z]/.test(line));
    const inTable = [...new Set(rows.map((row) => /^\| `([\w-]+)/.exec(row)?.[1] ?? ''))];
    assert.deepEqual(inTable.toSorted(), commands.toSorted(), 'the table of commands in docs/commands.md');
    for (const [, command = ''] of everything.matchAll(/mastodon-backup ([a-z][\w-]*)/g)) {
      assert.ok(commands.includes(command), `${command} is not a command`);
    }
    for (const command of commands) {
      const help = await runCommand([command, '--help'], {});
      const flags = [...help.stdout.matchAll(/^ +(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1] ?? '');
      const told = rows
        .filter((row) => row.startsWith(`| \`${command}`))
        .flatMap((row) => [...row.matchAll(/--[\w-]+/g)].map(([flag]) => flag));
      assert.deepEqual(
        [...new Set(told)].toSorted(),
        flags.filter((flag) => flag !== '--help').toSorted(),
        `the flags of ${command} in docs/commands.md`,
      );
    }
  });
});

describe('the exit statuses', () => {
  it('are those of the table of failures, in the same words, in --help and in the documentation', async () => {
    const { stdout } = await runCommand(['--help'], {});
    const help = stdout.replaceAll('\n', ' ');
    const rows = [...page('docs/commands.md').matchAll(/^\| (\d+) +\| (.*?) +\|$/gm)];
    assert.deepEqual(
      rows.map(([, status, words]) => [Number(status), words]),
      [...exitStatuses],
    );
    for (const [status, words] of exitStatuses) assert.ok(help.includes(`${status} ${words}`), `${status} ${words}`);
  });
});

describe('the documentation', () => {
  it('has a README of at most 200 lines, which leads to every page', () => {
    const readme = page('README.md');
    assert.ok(readme.split('\n').length <= 201);
    for (const { file } of pages) if (file !== 'README.md') assert.ok(readme.includes(`](${file})`), file);
  });

  it('names npm scripts that exist', () => {
    const named = [...everything.matchAll(/npm (?:run )?(?:-\S+ )*(\w[\w:-]*)/g)]
      .map((match) => match[1] ?? '')
      .filter((name) => !['ci', 'install', 'writes', 'installed', 'runs', 'packages'].includes(name));
    assert.ok(named.includes('demo') && named.includes('test') && named.includes('start'));
    for (const name of named) assert.ok(scripts[name] !== undefined, name);
  });

  it('names paths that exist', () => {
    for (const [, name = ''] of everything.matchAll(
      /`((?:src|test|docs|docker|bin|\.ci|\.github)\/[\w./-]*)[^`\w./-]*`/g,
    )) {
      assert.ok(existsSync(path.join(checkout, name)), name);
    }
  });

  it('has links that lead to a page and a heading', () => {
    const anchors = (text: string): readonly string[] =>
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
        heading
          .toLowerCase()
          .replaceAll(/[^\w\- ]/g, '')
          .replaceAll(' ', '-'),
      );
    for (const one of pages) {
      for (const [, target = ''] of one.text.matchAll(/\]\(([^)]+)\)/g)) {
        if (/^https?:/.test(target)) continue;
        const [file = '', anchor] = target.split('#');
        const found = file === '' ? one.file : path.normalize(path.join(path.dirname(one.file), file));
        assert.ok(existsSync(path.join(checkout, found)), `${one.file}: ${target}`);
        if (anchor !== undefined) assert.ok(anchors(page(found)).includes(anchor), `${one.file}: ${target}`);
      }
    }
  });

  it('has exactly the rooms of rooms.json', async () => {
    const text = page('docs/architecture.md');
    const table = text.slice(text.indexOf(startMarker) + startMarker.length, text.indexOf(endMarker));
    const hint = `Put the output of npm run architecture -- --markdown between ${startMarker} and ${endMarker}`;
    const normalised = async (markdown: string): Promise<string> =>
      (await format(markdown, { parser: 'markdown' })).trim();
    assert.equal(await normalised(table), await normalised(renderRoomsMarkdown()), hint);
  });
});
