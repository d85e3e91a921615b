// Point-in-time recovery into a bucket, encrypted and signed, over TLS, by a daemon that has no private key: what is stored is of no
// use to whoever may read the bucket, and whole for whoever has the key.

import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import path from 'node:path';
import { after, before, it } from 'node:test';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { createSigningKey } from '../../src/config/ssh-keys.ts';
import { openApp } from '../support/app.ts';
import { createAuthority, giveToServer, issueCertificate } from '../support/certificates.ts';
import { startDaemon, type RunningDaemon } from '../support/daemon.ts';
import { linkPrograms, testPassword } from '../support/postgres-server.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { startStockServer, type StockServer } from '../support/stock-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const major = 15;
const signal = new AbortController().signal;
const stack = new AsyncDisposableStack();
let server: StockServer;
let s3: S3TestServer;
let environment: Readonly<Record<string, string>>;
let daemon: RunningDaemon;
let identity: string;

before(async () => {
  const folder = stack.use(temporaryDirectory());
  chmodSync(folder.path, 0o711);
  const authority = createAuthority(folder.path, 'authority');
  const pair = issueCertificate(authority, { file: 'server', commonName: 'db', alternativeName: 'DNS:localhost' });
  giveToServer(pair);
  server = stack.use(
    await startStockServer(major, {
      settings: { ssl: 'on', ssl_cert_file: pair.certificate, ssl_key_file: pair.key },
    }),
  );
  s3 = stack.use(await startS3());
  identity = await generateX25519Identity();
  await server.createDatabase('mastodon_production');
  await server.query('create table counters (counter int primary key)', 'mastodon_production');
  environment = {
    ...s3.environment,
    LOCAL_DOMAIN: 'example.social',
    DB_HOST: server.address,
    DB_PORT: String(server.port),
    DB_USER: 'postgres',
    DB_PASS: testPassword,
    DB_SSLMODE: 'verify-ca',
    PGSSLROOTCERT: authority.certificate,
    BACKUP_PG_BIN: linkPrograms(path.join(folder.path, 'bin'), major),
    BACKUP_STATE_DIR: path.join(folder.path, 'state'),
    BACKUP_SCRATCH_DIR: path.join(folder.path, 'scratch'),
    BACKUP_SCHEDULE_DAILY: 'off',
    BACKUP_SCHEDULE_WEEKLY: 'off',
    BACKUP_SCHEDULE_MONTHLY: 'off',
    BACKUP_SCHEDULE_DRILL: 'off',
    BACKUP_AGE_RECIPIENTS: await identityToRecipient(identity),
    BACKUP_SIGNING_KEY: createSigningKey('ours').file,
    BACKUP_PITR: 'on',
    BACKUP_PITR_UPLOAD_EVERY: '1s',
  };
  daemon = stack.use(startDaemon(environment));
});
after(async () => stack.disposeAsync());

it('comes back with the private key alone, and only from a base that is signed', async () => {
  await until('a base backup', {
    seconds: 60,
    look: async () => ((await daemon.app.health()).pitr?.restorableFrom ?? null) !== null,
  });
  await server.query('insert into counters values (1)', 'mastodon_production');
  const [row] = await server.query(
    "select to_char(clock_timestamp() at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US') || 'Z' as now",
  );
  const at = String(row?.['now']);
  await server.query('insert into counters values (2)', 'mastodon_production');
  const wanted = Date.now() + 1_000;
  await until('it to be stored', {
    seconds: 30,
    look: async () => Date.parse((await daemon.app.health()).pitr?.restorableTo ?? '') > wanted,
  });
  const request = {
    at,
    database: 'undo',
    from: null,
    instance: null,
    acceptUnsigned: false,
    wait: true,
    replace: false,
    jobs: 1,
    schemas: null,
    withoutExtensions: [],
    locale: null,
    owner: 'mastodon',
    createRole: false,
    ignoreSecrets: true,
    signal,
    onProgress: () => undefined,
  } as const;
  const keys = (await s3.keys()).filter((key) => key.includes('pitr/'));
  const isSealed = (key: string): boolean => /\.age(\.sig)?$|\/base\/[^/]*\.json(\.sig)?$/.test(key);
  assert.ok(keys.length >= 4);
  assert.deepEqual(
    keys.filter((key) => !isSealed(key)),
    [],
  );
  await assert.rejects(daemon.app.restoreMoment({ ...request, identities: [] }), /no private key is at hand/);
  const { status, checks } = await daemon.app.drillMoment({ ...request, identities: [] });
  assert.equal(status, 'skipped');
  assert.match(checks.map(({ detail }) => detail).join(), /no private key is on this machine: set BACKUP_AGE_IDENTITY/);
  await daemon.app.restoreMoment({ ...request, identities: [identity] });
  assert.deepEqual(await server.query('select counter from counters', 'undo'), [{ counter: 1 }]);
  await using stranger = openApp({ ...environment, BACKUP_SIGNING_KEY: createSigningKey('another').file });
  await assert.rejects(
    stranger.restoreMoment({ ...request, database: 'never', identities: [identity] }),
    /is signed by .* which is not trusted here/,
  );
  await stranger.restoreMoment({ ...request, database: 'taken', identities: [identity], acceptUnsigned: true });
  assert.deepEqual(await server.query('select counter from counters', 'taken'), [{ counter: 1 }]);
});
