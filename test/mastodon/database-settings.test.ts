import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { renderProblem } from '../../src/config/problem.ts';
import { readDatabaseTarget, type DatabaseReading, type DatabaseTarget } from '../../src/mastodon/database-settings.ts';
import { environmentOf } from '../config/environments.ts';

type Variables = Readonly<Record<string, string>>;

function read(variables: Variables): DatabaseReading {
  return readDatabaseTarget(environmentOf(variables));
}

function targetOf(variables: Variables): DatabaseTarget {
  const { target, problems } = read(variables);
  if (target === null) throw new Error(problems.map(renderProblem).join('\n'));
  return target;
}

function partsOf(variables: Variables): readonly unknown[] {
  const { host, port, user, password, database, sslMode } = targetOf(variables);
  return [host, port, user, password, database, sslMode];
}

function problemsOf(variables: Variables): string {
  return read(variables).problems.map(renderProblem).join('\n');
}

const ofMastodon = {
  DB_HOST: 'db',
  DB_PORT: '5433',
  DB_NAME: 'name',
  DB_USER: 'user',
  DB_PASS: 'pass',
  DB_SSLMODE: 'require',
};

const ofUrl = (DATABASE_URL: string): readonly unknown[] => partsOf({ ...ofMastodon, DATABASE_URL });

const suspected = (variables: Variables): boolean => targetOf(variables).poolerSuspected;

describe("Mastodon's database", () => {
  it("has Mastodon's defaults, also for what is set to nothing", () => {
    const defaults = ['localhost', 5432, 'mastodon', '', 'mastodon_production', 'prefer'];
    assert.deepEqual(partsOf({}), defaults);
    assert.deepEqual(
      partsOf(Object.fromEntries([...Object.keys(ofMastodon), 'DATABASE_URL'].map((name) => [name, '']))),
      defaults,
    );
    assert.deepEqual(targetOf({}).sources, []);
  });

  it('is read from DB_*', () => {
    assert.deepEqual(partsOf(ofMastodon), ['db', 5433, 'user', 'pass', 'name', 'require']);
    assert.deepEqual(targetOf(ofMastodon).sources.toSorted(), Object.keys(ofMastodon).toSorted());
  });

  it('takes the parts of DATABASE_URL before those of DB_*, and what it lacks from DB_*', () => {
    assert.deepEqual(ofUrl('postgresql://u:p@h:1/d?sslmode=disable'), ['h', 1, 'u', 'p', 'd', 'disable']);
    assert.deepEqual(ofUrl('postgres://h'), ['h', 5433, 'user', 'pass', 'name', 'require']);
    assert.deepEqual(ofUrl('postgres://u@h/'), ['h', 5433, 'u', 'pass', 'name', 'require']);
    assert.deepEqual(ofUrl('postgres://u:@h:/d?sslmode='), ['h', 5433, 'u', 'pass', 'd', 'require']);
    assert.deepEqual(ofUrl('postgres:///d'), ['db', 5433, 'user', 'pass', 'd', 'require']);
    assert.deepEqual(ofUrl('POSTGRES://h/d'), ['h', 5433, 'user', 'pass', 'd', 'require']);
  });

  it("gives the example URL of Mastodon's documentation the database name that Rails gives it", () => {
    assert.equal(
      targetOf({ DATABASE_URL: 'postgresql://mastodon:secret@localhost:5432' }).database,
      'mastodon_production',
    );
  });

  it('lets the query of the URL win, as Rails does', () => {
    const url = 'postgres://u:p@h:1/d?host=/run/postgresql&port=6000&database=e&password=q%20r';
    assert.deepEqual(partsOf({ DATABASE_URL: url }), ['/run/postgresql', 6000, 'u', 'q r', 'e', 'prefer']);
  });

  it('takes a socket directory and IPv6 addresses', () => {
    assert.equal(targetOf({ DB_HOST: '/var/run/postgresql' }).host, '/var/run/postgresql');
    assert.equal(targetOf({ DATABASE_URL: 'postgres://u:p@%2Fvar%2Frun%2Fpostgresql/d' }).host, '/var/run/postgresql');
    assert.equal(targetOf({ DATABASE_URL: 'postgres://u:p@[2001:db8::1]:5433/d' }).host, '2001:db8::1');
    assert.equal(targetOf({ DB_HOST: '[::1]' }).host, '::1');
    assert.equal(targetOf({ DB_HOST: '::1' }).host, '::1');
  });

  it('takes host names with underscores, as compose makes them', () => {
    assert.equal(targetOf({ DATABASE_URL: 'postgres://u:p@mastodon_db_1:5432/d' }).host, 'mastodon_db_1');
  });

  it('understands no-verify of the streaming server as require', () => {
    assert.equal(targetOf({ DB_SSLMODE: 'no-verify' }).sslMode, 'require');
    assert.equal(targetOf({ DATABASE_URL: 'postgres://h/d?sslmode=no-verify' }).sslMode, 'require');
  });

  it('keeps the certificate authority of the URL', () => {
    const { sslMode, sslRootCertificate } = targetOf({
      DATABASE_URL: 'postgres://h/d?sslmode=verify-full&sslrootcert=/etc/ssl/db.crt',
    });
    assert.deepEqual([sslMode, sslRootCertificate], ['verify-full', '/etc/ssl/db.crt']);
  });

  it("takes certificates from the URL, else from libpq's variables as they stand", () => {
    const paths = (variables: Variables): readonly unknown[] => {
      const { sslRootCertificate, sslCertificate, sslKey } = targetOf(variables);
      return [sslRootCertificate, sslCertificate, sslKey];
    };
    const variables = { PGSSLROOTCERT: "/a'b", PGSSLCERT: '/b', PGSSLKEY: '/c d' };
    assert.deepEqual(paths({}), [null, null, null]);
    assert.deepEqual(paths(variables), ["/a'b", '/b', '/c d']);
    const url = 'postgres://h/d?sslcert=/x%20y&sslkey=/z';
    assert.deepEqual(paths({ ...variables, DATABASE_URL: url }), ["/a'b", '/x y', '/z']);
    assert.deepEqual(paths({ ...variables, BACKUP_DATABASE_URL: url }), [null, '/x y', '/z']);
  });

  it('shows no key that was given in place of its path', () => {
    const content = '-----BEGIN PRIVATE KEY-----\nabcdef\n-----END PRIVATE KEY-----\n';
    const told = problemsOf({ PGSSLKEY: content });
    assert.match(told, /^PGSSLKEY: sslkey is the content of a file\. Write the path/);
    assert.doesNotMatch(told, /abcdef/);
    const url = `postgres://h/d?sslkey=${encodeURIComponent(content)}`;
    assert.match(problemsOf({ BACKUP_DATABASE_URL: url }), /^BACKUP_DATABASE_URL: sslkey is the content of a file/);
  });

  it("takes the system's authorities with verify-full alone, which is their default where Mastodon has none", () => {
    const system = 'postgres://h/d?sslrootcert=system';
    assert.equal(targetOf({ BACKUP_DATABASE_URL: system }).sslMode, 'verify-full');
    assert.equal(targetOf({ DATABASE_URL: `${system}&sslmode=verify-full` }).sslRootCertificate, 'system');
    assert.match(problemsOf({ DATABASE_URL: system }), /^DB_SSLMODE: .*refuse sslmode prefer\. Write verify-full/);
    assert.match(problemsOf({ BACKUP_DATABASE_URL: `${system}&sslmode=require` }), /^BACKUP_DATABASE_URL: .*require/);
  });

  it("passes over Rails' own parameters and names those without effect", () => {
    const rails =
      'pool=5&prepared_statements=true&reaping_frequency=10&adapter=postgresql&encoding=unicode&checkout_timeout=5&connect_timeout=5';
    assert.deepEqual(read({ DATABASE_URL: `postgres://h/d?${rails}` }).warnings, []);
    const { warnings } = read({ DATABASE_URL: 'postgres://h/d?sslmodus=require&target_session_attrs=any' });
    assert.match(warnings.join('\n'), /without effect here: sslmodus, target_session_attrs/);
  });

  it('refuses the parameters user and dbname, which Rails ignores', () => {
    assert.match(problemsOf({ DATABASE_URL: 'postgres://h/d?user=x&dbname=y' }), /Rails ignores \?user= and \?dbname=/);
  });

  it('names the variable whose value is wrong', () => {
    assert.match(problemsOf({ DB_PORT: '99999' }), /^DB_PORT '99999': the port/);
    assert.match(problemsOf({ DATABASE_URL: 'postgres://h:70000/d' }), /^DATABASE_URL .*: its port/);
    assert.match(problemsOf({ DB_SSLMODE: 'on' }), /^DB_SSLMODE 'on': .*verify-full/);
    assert.match(problemsOf({ DATABASE_URL: 'postgres://h/d?sslmode=on' }), /^DATABASE_URL: /);
    assert.match(problemsOf({ DB_HOST: 'db:5432' }), /^DB_HOST 'db:5432': .*Write the port into DB_PORT/);
    for (const secret of ['postgres://a:p/w@db', 'a:p w@db', 'host=db password=pw'])
      assert.match(problemsOf({ DB_HOST: secret }), /^DB_HOST \[hidden\]: /);
    assert.match(problemsOf({ DB_HOST: 'postgres://a:pw@db' }), /^DB_HOST \[hidden\]: .*use DATABASE_URL/);
    assert.match(problemsOf({ DB_HOST: 'postgres://db' }), /use DATABASE_URL/);
    assert.match(problemsOf({ DB_HOST: 'a,b' }), /Write one host/);
    assert.equal(read({ DB_HOST: 'a,b', DB_PORT: 'x', DB_SSLMODE: 'x' }).problems.length, 3);
  });

  it('reads DB_HOST and its like through YAML, as database.yml does, and DB_PASS as it stands', () => {
    const quoted = {
      DB_HOST: '"db"',
      DB_NAME: "'na''me'",
      DB_USER: 'user # the owner',
      DB_PORT: ' 5433 ',
      DB_PASS: '"pa#ss"',
    };
    assert.deepEqual(partsOf(quoted), ['db', 5433, 'user', '"pa#ss"', "na'me", 'prefer']);
    const { warnings } = read(quoted);
    assert.match(warnings.join('\n'), /DB_HOST has quotes/);
    assert.match(warnings.join('\n'), /DB_PASS has quotes around it, which are part of the password/);
    assert.equal(targetOf({ DB_USER: 'a#b' }).user, 'a#b');
    assert.equal(targetOf({ DB_HOST: 'db\r' }).host, 'db');
  });

  it('warns of white space and line ends that are part of the password, and does not show it', () => {
    const { target, warnings } = read({ DB_PASS: 'hunter22\r' });
    assert.equal(target?.password, 'hunter22\r');
    assert.match(warnings.join('\n'), /DB_PASS has white space/);
    assert.ok(!warnings.join('\n').includes('hunter22'));
  });

  it('suspects a pooler by its port, by PREPARED_STATEMENTS and by the URL', () => {
    assert.equal(suspected({}), false);
    assert.equal(suspected({ PREPARED_STATEMENTS: 'true' }), false);
    assert.equal(suspected({ DB_PORT: '6432' }), true);
    assert.equal(suspected({ PREPARED_STATEMENTS: 'false' }), true);
    assert.equal(suspected({ DATABASE_URL: 'postgres://h/d?prepared_statements=false' }), true);
    assert.equal(
      suspected({ PREPARED_STATEMENTS: 'false', DB_PORT: '6432', BACKUP_DATABASE_URL: 'postgres://u@h/d' }),
      false,
    );
    assert.equal(suspected({ BACKUP_DATABASE_URL: 'postgres://u@h:6432/d' }), true);
  });
});

describe('BACKUP_DATABASE_URL', () => {
  it("replaces all of Mastodon's variables, the password included", () => {
    const variables = {
      ...ofMastodon,
      DATABASE_URL: 'postgres://a:b@c:7/e',
      BACKUP_DATABASE_URL: 'postgres://replica/mastodon_production',
    };
    assert.deepEqual(partsOf(variables), ['replica', 5432, 'mastodon', '', 'mastodon_production', 'prefer']);
    assert.deepEqual(targetOf(variables).sources, ['BACKUP_DATABASE_URL']);
  });

  it('is not affected by what is wrong with the variables it replaces', () => {
    assert.equal(problemsOf({ DATABASE_URL: 'nonsense', DB_PORT: 'x', BACKUP_DATABASE_URL: 'postgres://u@h/d' }), '');
  });

  it('must name host and database itself, so that no other database is dumped by mistake', () => {
    assert.match(problemsOf({ DB_NAME: 'other', BACKUP_DATABASE_URL: 'postgres://u:p@h' }), /names no database/);
    assert.match(problemsOf({ BACKUP_DATABASE_URL: 'postgres:///d' }), /names no host/);
    assert.match(problemsOf({ BACKUP_DATABASE_URL: 'postgres://' }), /names no host and no database/);
  });

  it('takes the words of libpq too', () => {
    const url = 'postgresql:///?host=/run/postgresql&dbname=d&user=u&password=p';
    assert.deepEqual(partsOf({ BACKUP_DATABASE_URL: url }), ['/run/postgresql', 5432, 'u', 'p', 'd', 'prefer']);
  });
});
