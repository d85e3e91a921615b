import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { createEnvironment } from '../../src/config/environment.ts';
import { renderProblem } from '../../src/config/problem.ts';
import { readSettings, type SettingsReading } from '../../src/config/settings.ts';
import { runCommand, temporaryDirectory } from '../support/command.ts';

const bucket = {
  BACKUP_S3_BUCKET: 'backups',
  BACKUP_S3_ACCESS_KEY_ID: 'id',
  BACKUP_S3_SECRET_ACCESS_KEY: 'very-secret-key',
  BACKUP_R2_ACCOUNT_ID: '0123456789abcdef0123456789abcdef',
};

function read(variables: Readonly<Record<string, string>>): SettingsReading & { readonly lines: string } {
  const reading = readSettings(createEnvironment(variables, { uid: 1000 }));
  return { ...reading, lines: reading.problems.map(renderProblem).join('\n') };
}

describe('settings', () => {
  it('for R2 need a bucket, two keys and the account', () => {
    const { settings, problems, warnings } = read(bucket);
    assert.deepEqual(problems, []);
    assert.deepEqual(warnings, []);
    assert.equal(settings?.s3?.endpoint, 'https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com');
    assert.equal(settings?.s3?.region, 'auto');
    assert.equal(settings?.s3?.concurrency, 2);
    assert.equal(
      read({ ...bucket, BACKUP_R2_JURISDICTION: 'eu' }).settings?.s3?.endpoint,
      'https://0123456789abcdef0123456789abcdef.eu.r2.cloudflarestorage.com',
    );
  });

  it('report every problem at once', () => {
    const { lines, problems } = read({
      ...bucket,
      BACKUP_TIMEOUT: '12 hours',
      BACKUP_THREADS: 'many',
      BACKUP_S3_BUCKT: 'typo',
      BACKUP_SCHEDULE_DAILY: 'noon',
      BACKUP_KEEP_DAILY: '7 days',
      BACKUP_MEMORY_LIMIT: '2GB',
      BACKUP_ALLOW_PLAINTEXT: 'yes',
      BACKUP_LOCAL_DIR: 'relative/path',
      BACKUP_TIMEZONE: 'Mars/Olympus',
      BACKUP_COMPRESSION: 'gzip',
    });
    assert.equal(problems.length, 10);
    assert.match(lines, /BACKUP_TIMEOUT='12 hours': not a duration\. Write a number and one of s, m, h, d/);
    assert.match(lines, /BACKUP_S3_BUCKT: not a setting\. Did you mean BACKUP_S3_BUCKET\?/);
    assert.match(lines, /BACKUP_KEEP_DAILY='7 days': not a retention/);
  });

  it('never show a secret', () => {
    const { lines } = read({
      ...bucket,
      BACKUP_S3_SECRET_ACCESS_KEY: '"very-secret-key"',
      BACKUP_AGE_IDENTITY: 'AGE-SECRET-KEY-nonsense',
    });
    assert.match(lines, /BACKUP_S3_SECRET_ACCESS_KEY='\[hidden\]': the quotes are part of the value/);
    assert.doesNotMatch(lines, /very-secret|nonsense/);
  });

  it('take a private key for a recipient as what it is, without printing it', () => {
    const { lines } = read({ ...bucket, BACKUP_AGE_RECIPIENTS: 'AGE-SECRET-KEY-1QQQQQQ' });
    assert.match(lines, /holds a private key/);
  });

  for (const name of ['BACKUP_AGE_RECIPIENTS', 'BACKUP_S3_BUCKET', 'BACKUP_LOCAL_DIR']) {
    it(`take a set but empty ${name} for a mistake`, () => {
      assert.match(read({ ...bucket, [name]: '' }).lines, new RegExp(`${name}='': set, but empty`));
    });
  }

  it('take other empty variables for unset', () => {
    assert.deepEqual(read({ ...bucket, BACKUP_TIMEOUT: '', BACKUP_R2_JURISDICTION: '' }).problems, []);
  });

  it('only warn of a name they do not know when it is close to none', () => {
    const { problems, warnings } = read({ ...bucket, BACKUP_FROM_THE_FUTURE: 'x' });
    assert.deepEqual(problems, []);
    assert.deepEqual(warnings, ['BACKUP_FROM_THE_FUTURE is not a setting this version knows; it is ignored']);
  });

  it('warn of what is not available yet, and still check it', () => {
    assert.match(
      read({ ...bucket, BACKUP_NTFY_URL: 'https://ntfy.sh/x' }).warnings.join(),
      /BACKUP_NTFY_URL is not available yet/,
    );
    assert.match(read({ ...bucket, BACKUP_NTFY_URL: 'ntfy.sh' }).lines, /not a web address/);
  });

  it('name every contradiction', () => {
    assert.match(
      read({ ...bucket, BACKUP_S3_ENDPOINT: 'https://s3.example' }).lines,
      /BACKUP_S3_ENDPOINT: set together with BACKUP_R2_ACCOUNT_ID/,
    );
    assert.match(
      read({ ...bucket, BACKUP_COMPRESSION: 'none', BACKUP_COMPRESSION_LEVEL: '6' }).lines,
      /contradicts BACKUP_COMPRESSION=none/,
    );
    assert.match(read({ ...bucket, BACKUP_COMPRESSION_LEVEL: '12' }).lines, /xz has no level 12/);
    assert.match(read({ BACKUP_S3_BUCKET: 'backups' }).lines, /BACKUP_S3_ACCESS_KEY_ID: missing/);
    assert.match(read({}).lines, /there is no destination/);
    assert.match(read({ ...bucket, BACKUP_TELEGRAM_CHAT_ID: '1' }).lines, /BACKUP_TELEGRAM_BOT_TOKEN: missing/);
    const { BACKUP_R2_ACCOUNT_ID: _account, ...aws } = bucket;
    assert.match(read(aws).lines, /BACKUP_S3_REGION: missing, and AWS needs it/);
    assert.match(read({ ...aws, BACKUP_S3_REGION: 'auto' }).lines, /there is no region 'auto' on AWS/);
    assert.equal(read({ ...aws, BACKUP_S3_ENDPOINT: 'http://minio:9000' }).settings?.s3?.region, 'us-east-1');
    assert.match(read({ ...aws, BACKUP_S3_ENDPOINT: 'https://host/backups' }).lines, /an endpoint has no path/);
  });

  it('read secrets from files, without their last newline', () => {
    using folder = temporaryDirectory();
    const file = path.join(folder.path, 'secret');
    const { BACKUP_S3_SECRET_ACCESS_KEY: _secret, ...others } = bucket;
    for (const [content, expected] of [
      ['abc\n', 'abc'],
      ['abc\r\n', 'abc'],
      ['abc\n\n', 'abc\n'],
      ['abc', 'abc'],
    ] as const) {
      writeFileSync(file, content);
      const reading = read({ ...others, BACKUP_S3_SECRET_ACCESS_KEY_FILE: file });
      if (expected.includes('\n')) assert.match(reading.lines, /control character/);
      else assert.equal(reading.settings?.s3?.secretAccessKey, expected);
    }
    assert.match(
      read({ ...bucket, BACKUP_S3_SECRET_ACCESS_KEY_FILE: file }).lines,
      /both BACKUP_S3_SECRET_ACCESS_KEY and BACKUP_S3_SECRET_ACCESS_KEY_FILE are set/,
    );
    assert.match(read({ ...others, BACKUP_S3_SECRET_ACCESS_KEY_FILE: '/not/there' }).lines, /ENOENT/);
  });

  it('name owner, mode and the command that mends a secret file that cannot be read', async (context) => {
    if (process.getuid?.() !== 0) {
      context.skip('needs root, to become somebody else');
      return;
    }
    using folder = temporaryDirectory();
    chmodSync(folder.path, 0o755);
    const file = path.join(folder.path, 'secret');
    writeFileSync(file, 'abc');
    chmodSync(file, 0o600);
    process.seteuid?.(65534);
    try {
      assert.match(
        read({ ...bucket, BACKUP_S3_SECRET_ACCESS_KEY: '', BACKUP_S3_SECRET_ACCESS_KEY_FILE: file }).lines,
        /belongs to 0:0 with mode 0600, and we run as uid 1000\. Run on the host: chown 1000 .* && chmod 0400/,
      );
    } finally {
      process.seteuid?.(0);
    }
  });

  it('end a command with status 2 and all problems, before anything else is done', async () => {
    const result = await runCommand(['run'], { ...bucket, BACKUP_TIMEOUT: 'x', DB_PORT: 'y', S3_BUCKET: 'media' });
    assert.equal(result.status, 2);
    assert.match(result.stderr, /2 settings are wrong:\n.*BACKUP_TIMEOUT.*\n.*DB_PORT/);
    assert.doesNotMatch(result.stderr, /very-secret-key/);
  });
});

describe('config', () => {
  it('prints every setting with its source and no secret', async () => {
    const result = await runCommand(['config', '--json'], {
      ...bucket,
      DB_PASS: 'database-secret',
      DATABASE_URL: 'postgresql://m:url-secret@db/x',
    });
    assert.equal(result.status, 0, result.stderr);
    const rows = JSON.parse(result.stdout) as { name: string; value: string | null; source: string }[];
    assert.ok(rows.length > 50);
    assert.deepEqual(
      rows.find(({ name }) => name === 'BACKUP_S3_BUCKET'),
      { name: 'BACKUP_S3_BUCKET', value: 'backups', source: 'environment' },
    );
    assert.deepEqual(
      rows.find(({ name }) => name === 'BACKUP_TIMEOUT'),
      { name: 'BACKUP_TIMEOUT', value: '12h', source: 'default' },
    );
    assert.doesNotMatch(result.stdout + result.stderr, /very-secret-key|database-secret|url-secret/);
  });
});
