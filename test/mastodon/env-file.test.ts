import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeEnvFile, encodeEnvFile } from '../../src/mastodon/env-file.ts';
import { readAsCompose } from '../support/compose-env-file.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const header = ['Whatever stands here'];
const names = fc.stringMatching(/^[A-Z_][A-Z0-9_]{0,20}$/);
/** What a value may be: text without NUL, with more than its share of what readers of env files stumble over. */
const values = fc
  .array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom(...'\'"\\$#{}()`!~ \t\n\r=:;&|<>*?[]'.split(''), '\\n', '$HOME', '${X:-y}'),
      },
      { weight: 2, arbitrary: fc.string({ unit: 'grapheme' }) },
      { weight: 1, arbitrary: fc.base64String() },
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join('').replaceAll('\0', ''));
const manyVariables = fc.dictionary(names, values, { noNullPrototype: true });

/** Values with what can go wrong, by what it is. */
const awkward = {
  PLAIN: 'postgres://mastodon:secret@db:5432/mastodon_production?sslmode=disable',
  EMPTY: '',
  SPACES: '  two before, two behind  ',
  HASH: 'a #not a comment',
  DOLLAR: 'pa$$word $HOME ${HOME} $(id)',
  SINGLE: "it's",
  DOUBLE: 'say "no"',
  BOTH: `'single' and "double" and \\ and $HOME`,
  BACKSLASH: String.raw`C:\new\table`,
  TRAILING_BACKSLASH: 'ends in \\',
  ESCAPES: String.raw`\n \t \" \' \$ \\`,
  LINES: '-----BEGIN CERTIFICATE-----\nMIIB+/=\n-----END CERTIFICATE-----\n',
  RETURN: 'one\r\ntwo\r',
  QUOTED: '"quoted"',
  SINGLE_QUOTED: "'quoted'",
  ASSIGNMENT: 'A=b\nSECOND=variable',
  UNICODE: 'pässwörd 🦣',
  JSON: '{"a":"b c"}',
} as const;

describe('an env file', () => {
  it('gives every value back, whatever is in it', () => {
    fc.assert(
      fc.property(manyVariables, (variables) => {
        assert.deepEqual(decodeEnvFile(encodeEnvFile(variables, { header })), variables);
      }),
      { numRuns: 500 },
    );
    assert.deepEqual(decodeEnvFile(encodeEnvFile(awkward, { header })), awkward);
  });

  it('is read by the rules of docker compose as what was written', () => {
    fc.assert(
      fc.property(manyVariables, (variables) => {
        assert.deepEqual(readAsCompose(encodeEnvFile(variables, { header })), variables);
      }),
      { numRuns: 500 },
    );
    assert.deepEqual(readAsCompose(encodeEnvFile(awkward, { header })), awkward);
  });

  const compose = spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0;
  it('is read by docker compose itself', { skip: compose ? false : 'docker compose is not installed' }, () => {
    using folder = temporaryDirectory();
    // A service for each file: to start it takes longer than to read them all.
    const files = [awkward, ...fc.sample(manyVariables, 40)];
    for (const [at, variables] of files.entries())
      writeFileSync(path.join(folder.path, `${at}.env`), encodeEnvFile(variables, { header }));
    const declared = files.map((_, at) => [`web-${at}`, { image: 'x', env_file: `${at}.env` }]);
    writeFileSync(path.join(folder.path, 'compose.yml'), JSON.stringify({ services: Object.fromEntries(declared) }));
    const config = execFileSync('docker', ['compose', '-f', 'compose.yml', 'config', '--format', 'json'], {
      cwd: folder.path,
    });
    const { services } = JSON.parse(config.toString()) as {
      services: Record<string, { environment?: Record<string, string> }>;
    };
    for (const [at, variables] of files.entries()) {
      const read = Object.entries(services[`web-${at}`]?.environment ?? {}).map(([name, value]) => [
        name,
        value.replaceAll('$$', '$'),
      ]);
      assert.deepEqual(Object.fromEntries(read), variables);
    }
  });

  it('is read by a shell too, but for a carriage return and for a backtick beside an apostrophe', () => {
    using folder = temporaryDirectory();
    const { RETURN: _return, ...forShells } = awkward;
    const ownNames = fc.stringMatching(/^MASTODON_[A-Z0-9_]{1,20}$/);
    const readable = values.filter((value) => !value.includes('\r') && !(value.includes('`') && /'|\\$/.test(value)));
    const files = [forShells, ...fc.sample(fc.dictionary(ownNames, readable, { noNullPrototype: true }), 40)];
    const fileOf = (at: number): string => path.join(folder.path, `${at}.env`);
    for (const [at, variables] of files.entries()) writeFileSync(fileOf(at), encodeEnvFile(variables, { header }));
    // Each in a shell of its own, which is a fork of this one.
    const script = 'for file do (set -a; . "$file"; exec /usr/bin/env -0 > "$file.read"); done';
    execFileSync('env', ['-i', '/bin/sh', '-ec', script, 'sh', ...files.map((_, at) => fileOf(at))]);
    for (const [at, variables] of files.entries()) {
      const read = Object.fromEntries(
        readFileSync(`${fileOf(at)}.read`, 'utf8')
          .split('\0')
          .filter((entry) => entry !== '')
          .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
      );
      for (const [name, value] of Object.entries(variables)) assert.equal(read[name], value, name);
    }
  });

  it('leaves keys, domains and numbers bare, so that readers without quotes take them too', () => {
    const bare = { SECRET_KEY_BASE: 'ab01'.repeat(32), VAPID_PRIVATE_KEY: 'aZ-_09+/=', LOCAL_DOMAIN: 'social.example' };
    const lines = encodeEnvFile(bare, { header }).split('\n');
    for (const [name, value] of Object.entries(bare)) assert.ok(lines.includes(`${name}=${value}`));
  });

  it('keeps its header in comments, whatever the header says', () => {
    const text = encodeEnvFile({ A: 'b' }, { header: ['one\nEVIL=1', 'two\u2028EVIL=2'] });
    assert.deepEqual(decodeEnvFile(text), { A: 'b' });
    assert.deepEqual(readAsCompose(text), { A: 'b' });
  });

  it('is refused when it is not as this program writes it, without a word of its values', () => {
    for (const text of ['A=a b\n', "A='unterminated\n", 'A="x" y\n', 'export A=b\n', 'A=b\nA=c\n', ' A=hunter2 x\n']) {
      assert.throws(
        () => decodeEnvFile(text),
        (error: Error) => /^line \d+ /.test(error.message) && !error.message.includes('hunter2'),
        text,
      );
    }
    assert.throws(() => encodeEnvFile({ 'A B': 'c' }, { header }), /no name of a variable/);
  });
});
