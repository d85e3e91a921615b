// The recovery kit as it leaves the command, in a real browser and on paper: who holds it has lost a server, has a phone or a
// printer, and should not have to leaf through ten pages.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { after, before, describe, it } from 'node:test';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { toSigningSettings } from '../../src/config/signing-keys.ts';
import { createSigningKey, parsePrivateKey } from '../../src/config/ssh-keys.ts';
import { encodeBase } from '../../src/snapshots/base-document.ts';
import { baseDocumentKey, baseKey } from '../../src/snapshots/chain-keys.ts';
import { storeSignature } from '../../src/snapshots/origin.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { baseOf, place } from '../support/chains.ts';
import { runCommand } from '../support/command.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { startBrowser, type Browser, type Sheet } from './browser.ts';
import { look } from './look.ts';

const mostPages = 4;
/** On a phone, in pixels: two ways with all their commands. */
const tallest = 18_000;
const evil = `<script>document.title='stolen'</script><b onclick="x">&amp;'`;

async function putBase(directory: string, signingKey: string): Promise<void> {
  const signal = AbortSignal.timeout(10_000);
  const signing = toSigningSettings({ key: parsePrivateKey(signingKey), others: [] });
  const repository = createRepository(createLocalStore({ directory }), { signing });
  const base = { ...baseOf(0), instance: 'social.example' };
  const key = baseDocumentKey(place, base.id);
  const content = encodeBase(base);
  await repository.store.putDocument(baseKey(place, base.tar.name), Buffer.from('x'), { signal });
  await storeSignature(repository, { key, content, signal });
  await repository.store.putDocument(key, content, { signal });
}

async function recipientOf(identity: Promise<string>): Promise<string> {
  return identityToRecipient(await identity);
}

describe('the recovery kit', () => {
  let browser: Browser;
  before(async () => {
    browser = await startBrowser();
  });
  after(async () => browser[Symbol.asyncDispose]());

  // With all that can make it long: two places, a signature, extra files, three people with keys, base backups and log.
  async function openKit(
    folder: string,
    environment: Readonly<Record<string, string>> = {},
    { hasBase = true }: { readonly hasBase?: boolean } = {},
  ): Promise<Sheet> {
    const file = path.join(folder, 'kit.html');
    const signingKey = createSigningKey('').file;
    if (hasBase) await putBase(folder, signingKey);
    const keys = await Promise.all([1, 2, 3].map(async () => recipientOf(generateX25519Identity())));
    const made = await runCommand(['recovery-kit', '--output', file], {
      LOCAL_DOMAIN: 'social.example',
      DB_HOST: '127.0.0.1',
      DB_PORT: '9',
      DB_NAME: 'mastodon_production',
      BACKUP_AGE_RECIPIENTS: keys.join(' '),
      BACKUP_SIGNING_KEY: signingKey,
      BACKUP_EXTRA_FILES: '/etc/nginx/sites-available/mastodon',
      BACKUP_S3_BUCKET: 'social-example-backups',
      BACKUP_S3_PREFIX: 'postgres',
      BACKUP_S3_ACCESS_KEY_ID: 'id',
      BACKUP_S3_SECRET_ACCESS_KEY: 'key',
      BACKUP_S3_ENDPOINT: 'http://127.0.0.1:9',
      BACKUP_LOCAL_DIR: folder,
      ...environment,
    });
    assert.equal(made.status, 0, made.stderr);
    return browser.open(pathToFileURL(file).href);
  }

  it('can be read at every width, by day and by night', async () => {
    using folder = temporaryDirectory();
    await using sheet = await openKit(folder.path);
    assert.equal(sheet.title, 'Recovery kit of social.example');
    await look(sheet, 'the kit', { tallest });
  });

  it('is four pages of A4 at most, and one more with base backups and log, with all of it on them', async () => {
    for (const [hasBase, most] of [
      [false, mostPages],
      [true, mostPages + 1],
    ] as const) {
      using folder = temporaryDirectory();
      await using sheet = await openKit(folder.path, {}, { hasBase });
      const pages = pagesOf(await sheet.print());
      assert.ok(pages <= most, `${pages} pages`);
      const text = await sheet.text();
      assert.match(text, /with curl alone.*or with the AWS client.*or with rclone.*Or from the directory/s);
      assert.equal(text.includes('any moment of the last days'), hasBase);
    }
  });

  it('needs two of them but for what can be done by the script as well: its lines come last', async () => {
    using folder = temporaryDirectory();
    await using whole = await openKit(folder.path);
    assert.match(await whole.text(), /Step 6\. Look whether.*Step 2, line by line/s);
    const file = path.join(folder.path, 'kit.html');
    const short = readFileSync(file, 'utf8').replace(/<section>\s*<h2>Step 2, line by line.*(?=<\/main>)/s, '');
    writeFileSync(file, short);
    await using sheet = await browser.open(pathToFileURL(file).href);
    const pages = pagesOf(await sheet.print());
    assert.ok(pages <= 2, `${pages} pages`);
  });

  it('shows markup in names as the text that it is', async () => {
    using folder = temporaryDirectory();
    await using sheet = await openKit(folder.path, { LOCAL_DOMAIN: evil, DB_NAME: evil, DB_USER: evil });
    assert.equal(sheet.title, `Recovery kit of ${evil}`);
    assert.ok((await sheet.text()).includes(`${evil}, owned by the role ${evil}`));
    await look(sheet, 'the kit of names with markup', { tallest });
  });
});

// What Chromium writes is no longer compressed than its pages' content.
function pagesOf(pdf: Uint8Array): number {
  return (
    Buffer.from(pdf)
      .toString('latin1')
      .match(/\/Type \/Page\b(?!s)/g)?.length ?? 0
  );
}
