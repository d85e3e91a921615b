// Commands in hints: each on a line of its own, without what ends the sentence; and all hints of the program are written so that
// this can be done.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { layOutHint, piecesOf } from '../../src/text/hint.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = 'docker compose exec backup mastodon-backup';

it('a command stands on a line of its own, as it is called where it is read', () => {
  assert.equal(
    layOutHint('See what there is with the command: mastodon-backup list.', { program, indent: 2 }),
    'See what there is with the command:\n    docker compose exec backup mastodon-backup list',
  );
  assert.equal(
    layOutHint(
      'Make a key with: mastodon-backup keygen, name its file in BACKUP_SIGNING_KEY_FILE, and sign what is there with: mastodon-backup adopt --all.',
      { program: 'bin/mastodon-backup', indent: 0 },
    ),
    [
      'Make a key with:',
      '  bin/mastodon-backup keygen',
      'name its file in BACKUP_SIGNING_KEY_FILE, and sign what is there with:',
      '  bin/mastodon-backup adopt --all',
    ].join('\n'),
  );
  assert.deepEqual(
    piecesOf('Take it: mastodon-backup restore daily/2026-11-23T120000Z-4f1c2a --output a.dump; then go on.'),
    [
      { kind: 'words', text: 'Take it:' },
      { kind: 'command', text: 'mastodon-backup restore daily/2026-11-23T120000Z-4f1c2a --output a.dump' },
      { kind: 'words', text: 'then go on.' },
    ],
  );
  assert.deepEqual(piecesOf('Set BACKUP_LOCAL_DIR.'), [{ kind: 'words', text: 'Set BACKUP_LOCAL_DIR.' }]);
});

it('what is wider than the terminal is broken between words, and a command is not', () => {
  const text = layOutHint(
    'Look at the disk of the database and at its log, then: mastodon-backup run daily --label x',
    {
      program,
      indent: 9,
      columns: 40,
    },
  );
  assert.deepEqual(text.split('\n'), [
    'Look at the disk of the',
    '         database and at its log, then:',
    '           docker compose exec backup mastodon-backup run daily --label x',
  ]);
});

it('every command in a hint of the program is written after a colon, and ends where a sentence may', () => {
  const wrong: string[] = [];
  // What is no hint: text of pages and kits, where the name stands for the program, and what is laid out already.
  const others = [
    'http/',
    'kit/',
    'cli/program.ts',
    'cli/upgrade-command.ts',
    'snapshots/place-marker.ts',
    'text/hint.ts',
  ];
  for (const file of globSync('src/**/*.ts', { cwd: root })) {
    if (others.some((one) => file.startsWith(path.join('src', one)))) continue;
    // The probe object of the doctor says who left it.
    const lines = readFileSync(path.join(root, file), 'utf8')
      .split('\n')
      .filter((line) => !line.includes('Buffer.from('));
    for (const line of lines.filter((one) => !/^\s*(?:\/\/|\/?\*)/.test(one))) {
      for (const { index } of line.matchAll(/mastodon-backup [a-z-]/g))
        if (!line.slice(0, index).endsWith(': ')) wrong.push(`${file}: ${line.trim()}`);
    }
  }
  assert.deepEqual(wrong, []);
});
