// The table of ranks is the architecture: a file imports its own folder or a strictly lower rank, and a package with a shape
// of its own is known to one file.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src', import.meta.url));

const ranks: Readonly<Record<string, number>> = {
  'main.ts': 10,
  cli: 9,
  daemon: 9,
  http: 9,
  app: 8,
  doctor: 7,
  drill: 7,
  backup: 6,
  health: 6,
  kit: 6,
  restore: 6,
  retention: 6,
  checks: 5,
  snapshots: 5,
  codec: 4,
  database: 4,
  mastodon: 4,
  notify: 4,
  schedule: 4,
  state: 4,
  storage: 4,
  config: 3,
  stream: 2,
  text: 1,
  'errors.ts': 0,
  'log.ts': 0,
};

/** Packages that one file alone, or one folder alone, may import. */
const soleImporters: Readonly<Record<string, string>> = {
  'lzma-native': 'codec/xz.ts',
  '@aws-sdk/lib-storage': 'storage/s3-upload.ts',
  '@smithy/node-http-handler': 'storage/s3-client.ts',
  croner: 'config/cron-pattern.ts',
  'pg-connection-string': 'mastodon/database-url.ts',
  commander: 'cli/',
  nodemailer: 'notify/email.ts',
  'prom-client': 'http/metrics.ts',
  pino: 'log.ts',
  'pino-pretty': 'log.ts',
};

interface Import {
  readonly file: string;
  readonly target: string;
  readonly typeOnly: boolean;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const imports: readonly Import[] = files.flatMap((file) =>
  [
    ...readFileSync(path.join(source, file), 'utf8').matchAll(/^(?:import|export) (type )?[^;]*?from '([^']+)';$/gms),
  ].map((match) => ({
    file,
    target: match[2] ?? '',
    typeOnly: match[1] !== undefined,
  })),
);

const placeOf = (file: string): string => file.split('/')[0] ?? '';

it('a file imports its own folder or a strictly lower rank', () => {
  const wrong = imports.filter(({ file, target }) => {
    if (!target.startsWith('.')) return false;
    const imported = path.join(path.dirname(file), target);
    const [from, to] = [ranks[placeOf(file)], ranks[placeOf(imported)]];
    assert.ok(from !== undefined && to !== undefined, `${file} or ${imported} has no rank`);
    return placeOf(file) !== placeOf(imported) && to >= from;
  });
  assert.deepEqual(wrong, []);
  assert.ok(imports.length > 100, 'the imports were found');
});

it('a package with a shape of its own is imported by one file or folder', () => {
  const wrong = imports.filter(({ file, target }) => {
    const importer = soleImporters[target];
    return importer !== undefined && (importer.endsWith('/') ? !file.startsWith(importer) : file !== importer);
  });
  assert.deepEqual(wrong, []);
});

it('only the deletion law removes anything from a store', () => {
  const removers = files.filter((file) =>
    /\bstore\.(remove|discard|replaceLifecycleRules)\(|\.remove\(.*signal/.test(
      readFileSync(path.join(source, file), 'utf8'),
    ),
  );
  assert.deepEqual(removers, ['snapshots/deletion-law.ts']);
});

it('only main.ts touches the process', () => {
  const users = files.filter((file) =>
    /\bprocess\.(env|exit|argv|on|stdout|stderr)\b|\bconsole\./.test(readFileSync(path.join(source, file), 'utf8')),
  );
  assert.deepEqual(users, ['main.ts']);
});

it('every file begins by saying what it promises', () => {
  const silent = files.filter((file) => !/^(#!.*\n)?\/\/ \S/.test(readFileSync(path.join(source, file), 'utf8')));
  assert.deepEqual(silent, []);
});
