// A server that asks for certificates: our own connection and pg_dump check and show them alike, and a file that is missing
// or that PostgreSQL's programs refuse is told before anything is dumped, with what mends it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { tryLogin } from '../../src/database/dump-login.ts';
import { connect, type ConnectionSettings } from '../../src/database/connection.ts';
import { AppError } from '../../src/errors.ts';
import type { Finding } from '../../src/doctor/finding.ts';
import { createAuthority, giveToServer, issueCertificate, type Pair } from '../support/certificates.ts';
import { runCommand, runProcess, type CommandResult } from '../support/command.ts';
import { countRows } from '../support/mastodon-data.ts';
import { linkPrograms } from '../support/postgres-server.ts';
import { startStage, type FaultStage } from './support.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const database = 'mastodon_production';

describe('a server with certificates', () => {
  let stage: FaultStage;
  let authority: Pair;
  let foreign: Pair;
  let ours: Pair;
  let serverPair: Pair;
  const files = temporaryDirectory();
  const inFolder = (name: string): string => path.join(files.path, name);
  before(async () => {
    chmodSync(files.path, 0o755);
    authority = createAuthority(files.path, 'authority');
    foreign = createAuthority(files.path, 'foreign');
    serverPair = issueCertificate(authority, { file: 'server', commonName: 'db', alternativeName: 'DNS:localhost' });
    giveToServer(serverPair);
    ours = issueCertificate(authority, { file: 'ours', commonName: 'mastodon' });
    stage = await startStage({
      megabytes: 1,
      settings: {
        ssl: 'on',
        ssl_cert_file: serverPair.certificate,
        ssl_key_file: serverPair.key,
        ssl_ca_file: authority.certificate,
      },
    });
    await stage.server.query('alter role mastodon createdb');
    await ask('hostssl all mastodon 127.0.0.1/32 scram-sha-256 clientcert=verify-full');
  });
  after(async () => {
    await stage[Symbol.asyncDispose]();
    files[Symbol.dispose]();
  });

  /** Has the server take `mastodon` by this line of pg_hba.conf alone. */
  async function ask(line: string): Promise<void> {
    const hba = `${stage.server.socketDirectory}/data/pg_hba.conf`;
    const trusted = 'local all postgres trust\nhost all postgres 127.0.0.1/32 trust\n';
    writeFileSync(hba, `${line}\n${trusted}`);
    await stage.server.query('select pg_reload_conf()');
  }

  /** The environment with a URL that has these parameters; `undefined` takes one out. */
  function withParameters(
    parameters: Readonly<Record<string, string | undefined>> = {},
    host = 'localhost',
  ): Readonly<Record<string, string>> {
    const { DB_HOST: _host, ...rest } = stage.environment;
    const all: Readonly<Record<string, string | undefined>> = {
      sslmode: 'verify-full',
      sslrootcert: authority.certificate,
      sslcert: ours.certificate,
      sslkey: ours.key,
      ...parameters,
    };
    const given = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return { ...rest, DATABASE_URL: `postgresql://${host}/${database}?${new URLSearchParams(given).toString()}` };
  }

  const protection = async (environment: Readonly<Record<string, string>>): Promise<string> => {
    const { stdout, stderr } = await runCommand(['doctor', '--json'], environment);
    assert.notEqual(stdout, '', stderr);
    const findings = JSON.parse(stdout) as readonly Finding[];
    assert.deepEqual(
      findings.filter(({ check, status }) => check === 'client' && status === 'problem'),
      [],
    );
    return findings.find(({ check }) => check === 'database')?.detail ?? '';
  };
  const done = (result: CommandResult): CommandResult => {
    assert.equal(result.status, 0, result.stderr);
    return result;
  };

  for (const [what, line] of [
    ['password and certificate', 'hostssl all mastodon 127.0.0.1/32 scram-sha-256 clientcert=verify-full'],
    ['certificate alone', 'hostssl all mastodon 127.0.0.1/32 cert'],
  ] as const) {
    it(`is backed up and restored into by ${what}`, async () => {
      await ask(line);
      try {
        done(await runCommand(['run', '--label', 'by-certificate'], withParameters()));
        await stage.server.query('drop database if exists again');
        done(await runCommand(['restore', 'latest', '--to-database', 'again'], withParameters()));
        const [again, source] = ['again', database].map((name) => stage.server.superuser(name));
        assert.ok(again !== undefined && source !== undefined);
        assert.deepEqual(await countRows(again), await countRows(source));
        assert.match(
          await protection(withParameters()),
          /; TLSv1\.\d, the server's certificate and host name are checked \(sslmode verify-full\), client certificate \/CN=mastodon$/,
        );
      } finally {
        await ask('hostssl all mastodon 127.0.0.1/32 scram-sha-256 clientcert=verify-full');
      }
    });
  }

  it("is reached with the files of libpq's own variables and places, as Mastodon reaches it", async () => {
    const { DATABASE_URL: _url, ...rest } = withParameters();
    const environment = { ...rest, DB_HOST: 'localhost', DB_SSLMODE: 'verify-full' };
    done(
      await runCommand(['run', '--label', 'variables'], {
        ...environment,
        PGSSLROOTCERT: authority.certificate,
        PGSSLCERT: ours.certificate,
        PGSSLKEY: ours.key,
      }),
    );
    const places = inFolder('home/.postgresql');
    mkdirSync(places, { recursive: true });
    copyFileSync(authority.certificate, path.join(places, 'root.crt'));
    copyFileSync(ours.certificate, path.join(places, 'postgresql.crt'));
    copyFileSync(ours.key, path.join(places, 'postgresql.key'));
    done(await runProcess(['run', '--label', 'places'], { ...environment, HOME: inFolder('home') }));
    // They are Mastodon's, and a URL of our own says everything itself.
    const { host, port, user, password } = { ...stage.server.mastodon(database), host: 'localhost' };
    const [, query = ''] = (withParameters()['DATABASE_URL'] ?? '').split('?');
    const BACKUP_DATABASE_URL = `postgresql://${user}:${encodeURIComponent(password)}@${host}:${port}/${database}?${query}`;
    const others = { ...rest, PGSSLCERT: '/nonexistent', PGSSLKEY: '/nonexistent' };
    done(await runCommand(['run', '--label', 'own'], { ...others, BACKUP_DATABASE_URL }));
  });

  it('is checked as each mode says, by us and by pg_dump alike', async () => {
    await ask('host all mastodon 127.0.0.1/32 trust');
    try {
      const base = { ...stage.server.mastodon(database), host: 'localhost' };
      const byName = (host: string): ConnectionSettings => ({ ...base, host });
      const other = foreign.certificate;
      const right = authority.certificate;
      const client = { directory: linkPrograms(inFolder('bin'), 15), major: 15, version: '15' };
      for (const [settings, accepted] of [
        [{ ...base, sslMode: 'verify-full', sslRootCertificate: right }, true],
        [{ ...byName('127.0.0.1'), sslMode: 'verify-full', sslRootCertificate: right }, false],
        [{ ...byName('127.0.0.1'), sslMode: 'verify-ca', sslRootCertificate: right }, true],
        [{ ...base, sslMode: 'verify-ca', sslRootCertificate: other }, false],
        [{ ...base, sslMode: 'require', sslRootCertificate: other }, false],
        [{ ...byName('127.0.0.1'), sslMode: 'require', sslRootCertificate: right }, true],
        [{ ...base, sslMode: 'require', sslRootCertificate: null }, true],
        // It goes on without encryption, as libpq does.
        [{ ...base, sslMode: 'prefer', sslRootCertificate: other }, true],
        [{ ...base, sslMode: 'allow', sslRootCertificate: other }, true],
      ] as const satisfies readonly (readonly [ConnectionSettings, boolean])[]) {
        const name = `${settings.sslMode} ${settings.host} ${settings.sslRootCertificate}`;
        const signal = AbortSignal.timeout(30_000);
        const own = async (): Promise<void> => {
          await using _client = await connect(settings, signal);
        };
        const theirs = async (): Promise<void> => tryLogin(settings, { client, serverMajor: 15, signal });
        if (accepted) {
          await own();
          await theirs();
        } else {
          await assert.rejects(own, AppError, `ours: ${name}`);
          await assert.rejects(theirs, AppError, `pg_dump's: ${name}`);
        }
      }
    } finally {
      await ask('hostssl all mastodon 127.0.0.1/32 scram-sha-256 clientcert=verify-full');
    }
  });

  for (const [what, parameters, status, says] of [
    [
      'another authority',
      () => ({ sslrootcert: foreign.certificate }),
      10,
      /certificate.*sslrootcert=\/path\/ca\.crt in the URL, or PGSSLROOTCERT/,
    ],
    ['a public one', () => ({ sslrootcert: 'system' }), 10, /certificate.*sslrootcert=\/path\/ca\.crt/],
    [
      'no client certificate',
      () => ({ sslcert: undefined, sslkey: undefined }),
      10,
      /requires a valid client certificate.*sslcert=\/path\/client\.crt&sslkey=/,
    ],
    [
      'a client certificate of another authority',
      () => pairOf(issueCertificate(foreign, { file: 'stranger', commonName: 'mastodon' })),
      10,
      /alert unknown ca.*a client certificate that the server takes/,
    ],
    [
      'a client certificate for another role',
      () => pairOf(issueCertificate(authority, { file: 'other-role', commonName: 'somebody' })),
      10,
      /failed for user "mastodon".*the client certificate names that role/,
    ],
    [
      'a client certificate that has expired',
      () => pairOf(issueCertificate(authority, { file: 'expired', commonName: 'mastodon', expired: true })),
      10,
      /alert certificate expired.*not expired/,
    ],
    [
      'a certificate that is not there',
      () => ({ sslcert: inFolder('missing.crt') }),
      2,
      /client certificate \(sslcert\) '\S+missing\.crt' cannot be read: there is no such file.*mount it/,
    ],
    [
      'an authority that is not there',
      () => ({ sslrootcert: inFolder('missing-ca.crt') }),
      2,
      /authority \(sslrootcert\) '\S+missing-ca\.crt' cannot be read: there is no such file/,
    ],
    ['a directory in its place', () => ({ sslkey: files.path }), 2, /\(sslkey\).*Docker makes one/],
    ['no authority', () => ({ sslrootcert: undefined }), 2, /verify-full needs.*PGSSLROOTCERT.*sslrootcert=system/],
    ['a certificate without its key', () => ({ sslkey: undefined }), 2, /has no key.*sslkey=\/path\/client\.key/],
    [
      'the key of another certificate',
      () => ({ sslkey: issueCertificate(authority, { file: 'else', commonName: 'mastodon' }).key }),
      2,
      /is not that of the certificate/,
    ],
    [
      'a key that others may read',
      () => {
        copyFileSync(ours.key, inFolder('open.key'));
        chmodSync(inFolder('open.key'), 0o644);
        return { sslkey: inFolder('open.key') };
      },
      2,
      /open\.key' belongs to \d+:\d+ with mode 0644[^]*chmod 0600 \S+open\.key/,
    ],
    [
      'a key with a passphrase',
      () => {
        const args = ['pkey', '-in', ours.key, '-aes256', '-passout', 'pass:secret', '-out', inFolder('locked.key')];
        execFileSync('openssl', args, { stdio: 'ignore' });
        chmodSync(inFolder('locked.key'), 0o600);
        return { sslkey: inFolder('locked.key') };
      },
      2,
      /passphrase.*openssl pkey/,
    ],
    [
      'a file that is no certificate',
      () => {
        writeFileSync(inFolder('no.crt'), 'hello');
        return { sslcert: inFolder('no.crt') };
      },
      2,
      /no\.crt' holds no certificate.*BEGIN CERTIFICATE/,
    ],
    [
      'a weak mode for a public authority',
      () => ({ sslmode: 'require', sslrootcert: 'system' }),
      2,
      /Write verify-full/,
    ],
  ] as const) {
    it(`is told what is wrong with ${what}`, async () => {
      const result = await runCommand(['run'], withParameters(parameters()));
      assert.match(result.stderr, says);
      assert.equal(result.status, status, result.stderr);
    });
  }

  it('whose certificate names another host is refused, and the mode that does not ask is named', async () => {
    const result = await runCommand(['run'], withParameters({}, '127.0.0.1'));
    assert.equal(result.status, 10, result.stderr);
    assert.match(result.stderr, /altnames.*sslmode=verify-ca/);
    const chain = withParameters({ sslmode: 'verify-ca' }, '127.0.0.1');
    done(await runCommand(['run', '--label', 'by-address'], chain));
    assert.match(await protection(chain), /certificate is checked, its host name is not/);
  });

  async function serving(
    options: Pick<Parameters<typeof issueCertificate>[1], 'commonName' | 'alternativeName' | 'expired'>,
    work: () => Promise<void>,
  ): Promise<void> {
    const kept = [readFileSync(serverPair.certificate), readFileSync(serverPair.key)] as const;
    issueCertificate(authority, { file: 'server', ...options });
    giveToServer(serverPair);
    await stage.server.query('select pg_reload_conf()');
    try {
      await work();
    } finally {
      writeFileSync(serverPair.certificate, kept[0]);
      writeFileSync(serverPair.key, kept[1]);
      giveToServer(serverPair);
      await stage.server.query('select pg_reload_conf()');
    }
  }

  it('whose certificate has expired is refused', async () => {
    await serving({ commonName: 'localhost', expired: true }, async () => {
      const result = await runCommand(['run'], withParameters());
      assert.equal(result.status, 10, result.stderr);
      assert.match(result.stderr, /certificate has expired.*Renew the server's certificate/);
    });
  });

  it('may have its address as common name, where it has no alternative name, as libpq takes it', async () => {
    await serving({ commonName: '127.0.0.1' }, async () => {
      done(await runCommand(['run', '--label', 'address'], withParameters({}, '127.0.0.1')));
      const result = await runCommand(['run'], withParameters());
      assert.equal(result.status, 10, result.stderr);
    });
  });

  it("is checked in every mode with an authority in libpq's usual place", async () => {
    const places = inFolder('elsewhere/.postgresql');
    mkdirSync(places, { recursive: true });
    copyFileSync(foreign.certificate, path.join(places, 'root.crt'));
    const environment = withParameters({ sslmode: 'require', sslrootcert: undefined });
    done(await runCommand(['run', '--label', 'unchecked'], environment));
    const result = await runProcess(['run'], { ...environment, HOME: inFolder('elsewhere') });
    assert.equal(result.status, 10, result.stderr);
    assert.match(result.stderr, /certificate.*sslrootcert=\/path\/ca\.crt/);
  });
});

function pairOf({ certificate, key }: Pair): Readonly<Record<string, string>> {
  return { sslcert: certificate, sslkey: key };
}
