// The table of ranks (architecture/rooms.json) is the architecture: a file imports its own room or a strictly lower rank, and a
// package with a shape of its own is known to one file.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  circles,
  files,
  imports,
  packagesLoadedWith,
  roomOf,
  rooms,
  textOf,
  upwardImports,
} from './architecture/rooms.ts';

/** Packages that one file alone, or one folder alone, may import. */
const soleImporters: Readonly<Record<string, string>> = {
  'lzma-native': 'codec/',
  '@aws-sdk/lib-storage': 'storage/s3-upload.ts',
  '@smithy/node-http-handler': 'storage/s3-client.ts',
  croner: 'config/cron-pattern.ts',
  'pg-connection-string': 'mastodon/database-url.ts',
  commander: 'cli/',
  'node:timers/promises': 'stream/patience.ts',
  nodemailer: 'notify/email.ts',
  'prom-client': 'http/metrics.ts',
  pino: 'log.ts',
  qr: 'kit/qr-code.ts',
};

it('a file imports its own room or a strictly lower rank', () => {
  assert.deepEqual(upwardImports(), []);
  assert.deepEqual(circles(), []);
  assert.ok(imports.length > 100, 'the imports were found');
});

it('every room of the table is there, and has one row', () => {
  const there = new Set(files.map(roomOf));
  assert.deepEqual(rooms.map(({ room }) => room).toSorted(), [...there].toSorted());
});

it('a package with a shape of its own is imported by one file or folder', () => {
  const wrong = imports.filter(({ file, target }) => {
    const importer = soleImporters[target];
    return importer !== undefined && (importer.endsWith('/') ? !file.startsWith(importer) : file !== importer);
  });
  assert.deepEqual(wrong, []);
});

it('a failure that is told says what to do next', () => {
  const made = files.flatMap((file) => {
    const text = textOf(file);
    return [...text.matchAll(/(?:new AppError|(?<!function )toAppError)\(/g)].map(({ index }) => ({
      file,
      call: callAt(text, index),
    }));
  });
  assert.ok(made.length > 100, 'they were found');
  assert.deepEqual(
    made.filter(({ call }) => !/\bhint\b/.test(call)),
    [],
  );
});

/** From there to the bracket that closes the first one. */
function callAt(text: string, start: number): string {
  let depth = 0;
  for (let at = text.indexOf('(', start); at < text.length; at += 1) {
    if (text[at] === '(') depth += 1;
    if (text[at] === ')') depth -= 1;
    if (depth === 0) return text.slice(start, at + 1);
  }
  return text.slice(start);
}

it('a command waits only for packages that nearly every command needs: a healthcheck starts again and again', () => {
  assert.deepEqual([...packagesLoadedWith('main.ts')].toSorted(), [
    'commander',
    'croner',
    'pg-connection-string',
    'pino',
    'valibot',
  ]);
});

it('only the deletion law removes anything from a store', () => {
  const removers = files.filter((file) =>
    /\bstore\.(remove|discard|replaceLifecycleRules)\(|\.remove\(.*signal/.test(textOf(file)),
  );
  assert.deepEqual(removers.toSorted(), ['snapshots/chain-law.ts', 'snapshots/deletion-law.ts']);
  // To everybody else a repository has a store that cannot remove.
  const holders = files.filter((file) => /\bremoval\b/.test(textOf(file)));
  assert.deepEqual(holders.toSorted(), [
    'snapshots/chain-law.ts',
    'snapshots/deletion-law.ts',
    'snapshots/repository.ts',
  ]);
});

it('only main.ts touches the process', () => {
  const users = files.filter((file) => /\bprocess\.(env|exit|argv|on|stdout|stderr)\b|\bconsole\./.test(textOf(file)));
  assert.deepEqual(users, ['main.ts']);
});

it('every file begins by saying what it promises', () => {
  const silent = files.filter((file) => !/^(#!.*\n)?\/\/ \S/.test(textOf(file)));
  assert.deepEqual(silent, []);
});
