import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'node:test';
import { bucketOf } from '../../src/config/settings.ts';
import { createEnvironment } from '../../src/config/environment.ts';
import { fileCapableNames } from '../../src/config/table.ts';
import { environmentOf, fakeFiles, localOnly, problemsOf, r2, read } from './environments.ts';

const { BACKUP_S3_SECRET_ACCESS_KEY: _secret, ...withoutSecret } = r2;
const secretFile = { ...withoutSecret, BACKUP_S3_SECRET_ACCESS_KEY_FILE: '/run/secrets/s3' };

describe('the environment', () => {
  it('takes every variable of the tables from a file as well', () => {
    for (const name of fileCapableNames) {
      const environment = environmentOf({ [`${name}_FILE`]: '/f' }, { '/f': { content: 'from the file\n' } });
      assert.deepEqual(environment.get(name), { text: 'from the file', source: { kind: 'file', path: '/f' } });
    }
  });

  it('removes one newline at the end of a file and no more', () => {
    const cases = { 'x\n': 'x', 'x\r\n': 'x', 'x\n\n': 'x\n', x: 'x', '\n': '', ' x ': ' x ', '\uFEFFx\n': 'x' };
    for (const [content, text] of Object.entries(cases)) {
      const environment = environmentOf({ DB_PASS_FILE: '/f' }, { '/f': { content } });
      assert.equal(environment.get('DB_PASS')?.text ?? '', text);
    }
  });

  it('leaves files that stand for other variables alone', () => {
    assert.equal(environmentOf({ LOCAL_DOMAIN_FILE: '/f' }, { '/f': { content: 'x' } }).get('LOCAL_DOMAIN'), undefined);
  });

  it('refuses a variable and its file together, but takes the file when the variable is empty', () => {
    const both = { ...secretFile, BACKUP_S3_SECRET_ACCESS_KEY: 'other-secret' };
    const [line] = problemsOf(both, { '/run/secrets/s3': { content: 's' } });
    assert.match(line ?? '', /both BACKUP_S3_SECRET_ACCESS_KEY and BACKUP_S3_SECRET_ACCESS_KEY_FILE are set/);
    assert.ok(!line?.includes('other-secret'));
    const empty = { ...secretFile, BACKUP_S3_SECRET_ACCESS_KEY: '' };
    const { settings } = read(empty, { '/run/secrets/s3': { content: 's' } });
    assert.equal(settings === null ? null : bucketOf(settings)?.secretAccessKey, 's');
  });

  it('names owner, mode and the command that mends it when a file may not be read', () => {
    const lines = problemsOf(secretFile, { '/run/secrets/s3': { error: 'EACCES', mode: 0o600 } });
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /belongs to 0:0 with mode 0600, and we run as uid 991/);
    assert.match(lines[0] ?? '', /chown 991 \/run\/secrets\/s3 && chmod 0400 \/run\/secrets\/s3/);
  });

  it('says which folder to open when not even the mode can be seen', () => {
    assert.match(
      problemsOf(secretFile, { '/run/secrets/s3': { error: 'EACCES' } })[0] ?? '',
      /chmod o\+x \/run\/secrets/,
    );
  });

  it('explains the directory that Docker makes in place of a missing file', () => {
    assert.match(problemsOf(secretFile, { '/run/secrets/s3': { error: 'EISDIR' } })[0] ?? '', /Docker makes one/);
    assert.match(problemsOf(secretFile)[0] ?? '', /there is no such file/);
    assert.match(problemsOf({ ...secretFile, BACKUP_S3_SECRET_ACCESS_KEY_FILE: '"/f"' })[0] ?? '', /quotes/);
  });

  it('refuses a file that is not text, instead of taking another password', () => {
    for (const content of [Uint8Array.of(0x70, 0xe4), Uint8Array.of(0x70, 0)]) {
      assert.match(problemsOf(secretFile, { '/run/secrets/s3': { content } })[0] ?? '', /not UTF-8 text/);
    }
  });

  it('finds an unreadable DB_PASS_FILE also when nothing asked for the password yet', () => {
    const lines = problemsOf({ ...localOnly, DB_PASS_FILE: '/missing' });
    assert.match(lines.join('\n'), /DB_PASS_FILE '\/missing': there is no such file/);
  });

  it('tells unset, empty, set and broken apart', () => {
    const environment = environmentOf({ DB_HOST: '', DB_NAME: 'x', DB_PASS_FILE: '/missing', DB_USER_FILE: '' });
    const statuses = ['DB_PORT', 'DB_HOST', 'DB_NAME', 'DB_PASS', 'DB_USER'].map((name) => environment.status(name));
    assert.deepEqual(statuses, ['unset', 'empty', 'set', 'broken', 'empty']);
  });

  it('reads each file once', () => {
    let reads = 0;
    const files = fakeFiles({ '/f': { content: 'x' } });
    const counting = { ...files, read: (file: string) => ((reads += 1), files.read(file)) };
    const environment = createEnvironment({ DB_PASS_FILE: '/f' }, { uid: 1, files: counting });
    environment.get('DB_PASS');
    environment.status('DB_PASS');
    assert.equal(reads, 1);
  });

  it('reads real files, and says what a real directory and a closed file are', (context) => {
    const folder = mkdtempSync(path.join(tmpdir(), 'environment-'));
    context.after(() => rmSync(folder, { recursive: true }));
    writeFileSync(path.join(folder, 'good'), 'päss\n');
    writeFileSync(path.join(folder, 'closed'), 'x', { mode: 0o000 });
    mkdirSync(path.join(folder, 'directory'));
    const problemOf = (name: string): string | undefined =>
      createEnvironment({ DB_PASS_FILE: path.join(folder, name) }, { uid: 1 }).problems[0]?.problem;
    assert.equal(
      createEnvironment({ DB_PASS_FILE: path.join(folder, 'good') }, { uid: 1 }).get('DB_PASS')?.text,
      'päss',
    );
    assert.match(problemOf('directory') ?? '', /directory/);
    if (process.getuid?.() !== 0) assert.match(problemOf('closed') ?? '', /mode 0000/);
    chmodSync(path.join(folder, 'closed'), 0o600);
  });
});
