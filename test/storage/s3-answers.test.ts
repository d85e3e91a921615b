// What answers at an endpoint and is no store, or a store behind something that spoils its answers: each told in a sentence of its
// own with what helps, and none of them taken for an empty bucket.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createSocketServer, type AddressInfo } from 'node:net';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import type { AppError } from '../../src/errors.ts';
import { createS3Store } from '../../src/storage/s3-store.ts';
import { readPatiently } from '../../src/storage/patient-reader.ts';
import type { ObjectKey, RemovableStore } from '../../src/storage/store.ts';
import { createAuthority } from '../support/certificates.ts';
import { runCommand } from '../support/command.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = AbortSignal.timeout(1_800_000);
const key = 'daily/2026-01-01T000000Z-aaaaaa.json' as ObjectKey;

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return (server.address() as AddressInfo).port;
}

/** A server that gives everybody the same answer. */
async function startParrot({ status, headers = {}, body = '' }: Answer): Promise<AsyncDisposable & { port: number }> {
  const server = createServer((request, response) => {
    request.resume().once('end', () => {
      response.writeHead(status, headers);
      response.end(request.method === 'HEAD' ? undefined : body);
    });
  });
  return {
    port: await listening(server),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function storeAt(endpoint: string): RemovableStore {
  return createS3Store(
    {
      bucket: 'backups',
      accessKeyId: 'test',
      secretAccessKey: 'test',
      endpoint,
      region: 'us-east-1',
      prefix: '',
      concurrency: 2,
      profile: 'other',
    },
    { patience: { maxAttempts: 2, socketTimeoutMs: 2_000, patientTimeoutMs: 2_000 } },
  );
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<readonly Item[]> {
  const found: Item[] = [];
  for await (const item of items) found.push(item);
  return found;
}

const verbs: Readonly<Record<string, (store: RemovableStore) => Promise<unknown>>> = {
  list: async (store) => collect(store.list('daily/', { signal })),
  head: async (store) => store.head(key, { signal }),
  get: async (store) => buffer(await store.get(key, { signal })),
  putDocument: async (store) => store.putDocument(key, Buffer.from('{}'), { signal }),
  put: async (store) => store.put(key, Readable.from([Buffer.from('x')]), { signal, partBytes: 5 * 1024 * 1024 }),
  listUnfinished: async (store) => collect(store.listUnfinished('daily/', { signal })),
};

async function assertAllSay(store: RemovableStore, { says, hint }: { readonly says: RegExp; readonly hint: RegExp }) {
  for (const [verb, ask] of Object.entries(verbs)) {
    await assert.rejects(ask(store), (error: AppError) => {
      assert.equal(error.code, 'store', `${verb}: ${error.message}`);
      assert.match(error.message, says, verb);
      assert.match(error.hint ?? '', hint, verb);
      const words = `${error.message} ${error.hint}`;
      assert.doesNotMatch(
        words,
        /UnknownError|Unknown,|Deserialization|XML parse|char '|\$response|\$metadata|undefined|mastodon-backup doctor/,
        verb,
      );
      return true;
    });
  }
}

const page = '<!DOCTYPE html><html><head><title>Console</title></head><body>Log in</body></html>';
const html = { 'content-type': 'text/html; charset=utf-8' };
const cases: readonly (Answer & { readonly what: string; readonly says: RegExp; readonly hint: RegExp })[] = [
  {
    what: "a console's page",
    status: 200,
    headers: { ...html, etag: '"x"' },
    body: page,
    says: /a web page came/,
    hint: /host and port/,
  },
  {
    what: 'a page in XML',
    status: 200,
    headers: { 'content-type': 'application/xhtml+xml' },
    body: page,
    says: /a web page came/,
    hint: /host and port/,
  },
  {
    what: 'JSON',
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: '{"ok":true}',
    says: /no answer of an S3 store/,
    hint: /S3 API/,
  },
  { what: 'nothing', status: 200, says: /no answer of an S3 store/, hint: /S3 API/ },
  { what: 'no content', status: 204, says: /no answer of an S3 store/, hint: /S3 API/ },
  {
    what: 'a word',
    status: 200,
    headers: { 'content-type': 'text/plain' },
    body: 'It works!',
    says: /no answer of an S3 store/,
    hint: /S3 API/,
  },
  {
    what: 'other XML',
    status: 200,
    headers: { 'content-type': 'text/xml' },
    body: '<feed/>',
    says: /no answer of an S3 store/,
    hint: /S3 API/,
  },
  {
    what: 'a captive portal',
    status: 302,
    headers: { ...html, location: 'http://portal.example/login?token=secret-part' },
    body: page,
    says: /sends elsewhere \(status 302 to http:\/\/portal\.example\)/,
    hint: /login page/,
  },
  {
    what: 'a redirect to TLS',
    status: 301,
    headers: { location: 'https://s3.example/' },
    says: /sends elsewhere \(status 301 to https:/,
    hint: /begin with https/,
  },
  {
    what: 'a redirect that keeps the method',
    status: 308,
    headers: { location: '/other' },
    says: /sends elsewhere \(status 308\)/,
    hint: /BACKUP_S3_ENDPOINT/,
  },
  {
    what: "a firewall's page",
    status: 403,
    headers: html,
    body: page,
    says: /a web page came instead of an answer \(status 403\)/,
    hint: /firewall/,
  },
  {
    what: 'a web server that knows no bucket',
    status: 404,
    headers: html,
    body: page,
    says: /a web page came.*404/,
    hint: /host and port/,
  },
  {
    what: 'plain HTTP on a port with TLS (Go)',
    status: 400,
    headers: { 'content-type': 'text/plain' },
    body: 'Client sent an HTTP request to an HTTPS server.\n',
    says: /endpoint speaks TLS/,
    hint: /with https:/,
  },
  {
    what: 'plain HTTP on a port with TLS (nginx)',
    status: 400,
    headers: html,
    body: '<title>400 The plain HTTP request was sent to HTTPS port</title>',
    says: /endpoint speaks TLS/,
    hint: /with https:/,
  },
  {
    what: 'a proxy that wants a login',
    status: 407,
    headers: html,
    body: page,
    says: /a proxy asks for a login/,
    hint: /HTTPS_PROXY/,
  },
  {
    what: 'a proxy with a limit',
    status: 413,
    headers: html,
    body: page,
    says: /takes nothing so large/,
    hint: /client_max_body_size/,
  },
  {
    what: 'a limit of the store itself',
    status: 413,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>EntityTooLarge</Code><Message>x</Message></Error>',
    says: /too large for the store, or for a proxy/,
    hint: /client_max_body_size/,
  },
  {
    what: 'a cap of the account',
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>AccessDenied</Code><Message>Cannot download file, download bandwidth or transaction (Class B) cap exceeded. See the Caps and Alerts page</Message></Error>',
    says: /a cap of the account is reached/,
    hint: /Raise the cap/,
  },
  {
    what: 'a key of the provider that is disabled',
    status: 400,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>KMS.DisabledException</Code><Message>is disabled</Message></Error>',
    says: /key that the bucket encrypts with may not be used/,
    hint: /KMS/,
  },
  {
    what: 'a proxy with a limit, in JSON',
    status: 413,
    headers: { 'content-type': 'application/json' },
    body: '{"message":"Request Too Long"}',
    says: /too large for the store, or for a proxy/,
    hint: /client_max_body_size/,
  },
  {
    what: 'a proxy with a limit, written in Go',
    status: 413,
    headers: { 'content-type': 'text/plain' },
    body: 'http: request body too large',
    says: /takes nothing so large/,
    hint: /client_max_body_size/,
  },
  {
    what: 'Cloudflare that takes us for a robot',
    status: 403,
    headers: { ...html, server: 'cloudflare' },
    body: page,
    says: /Cloudflare in front of the store/,
    hint: /DNS only/,
  },
  {
    what: 'Cloudflare that reaches nobody',
    status: 522,
    headers: { 'content-type': 'text/plain' },
    body: 'error code: 522',
    says: /a proxy in front of the store gets no answer/,
    hint: /go past it/,
  },
  {
    what: 'Cloudflare before something odd',
    status: 520,
    headers: { ...html },
    body: page,
    says: /a proxy in front of the store gets no answer/,
    hint: /go past it/,
  },
  {
    what: 'a bucket in another region, in a header alone',
    status: 301,
    headers: { 'x-amz-bucket-region': 'eu-central-1' },
    says: /bucket is in another region.*301/,
    hint: /^Set BACKUP_S3_REGION=eu-central-1;/,
  },
  {
    what: 'a bucket in another region, in words',
    status: 400,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>AuthorizationHeaderMalformed</Code><Message>expecting</Message><Region>eu-west-3</Region></Error>',
    says: /bucket is in another region/,
    hint: /^Set BACKUP_S3_REGION=eu-west-3;/,
  },
  {
    what: 'a bucket at another endpoint',
    status: 301,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>PermanentRedirect</Code><Message>x</Message></Error>',
    says: /bucket is in another region or at another endpoint/,
    hint: /BACKUP_S3_ENDPOINT/,
  },
  {
    what: 'plain HTTP on a port with TLS (Apache)',
    status: 400,
    headers: { ...html },
    body: "Reason: You're speaking plain HTTP to an SSL-enabled server port.",
    says: /endpoint speaks TLS/,
    hint: /with https:/,
  },
  {
    what: 'a server that wants TLS',
    status: 426,
    headers: { 'content-type': 'text/plain' },
    body: 'Upgrade Required',
    says: /endpoint speaks TLS/,
    hint: /with https:/,
  },
  {
    what: 'a network that asks for a login',
    status: 511,
    headers: { ...html },
    body: page,
    says: /the network asks for a login first/,
    hint: /Log in/,
  },
  {
    what: 'a cap by its name',
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>StorageCapExceeded</Code><Message>x</Message></Error>',
    says: /a cap of the account is reached/,
    hint: /Raise the cap/,
  },
  {
    what: 'a clock that is behind (Garage)',
    status: 400,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>InvalidRequest</Code><Message>Date is too old</Message></Error>',
    says: /this machine's clock is wrong/,
    hint: /timedatectl/,
  },
  {
    what: 'a clock that is behind (others)',
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>',
    says: /this machine's clock is wrong/,
    hint: /timedatectl/,
  },
  {
    what: 'a store that wants fewer requests',
    status: 503,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>SlowDown</Code><Message>x</Message></Error>',
    says: /asks for fewer requests/,
    hint: /BACKUP_S3_CONCURRENCY/,
  },
  {
    what: 'a proxy that wants fewer requests',
    status: 429,
    headers: { 'content-type': 'application/json' },
    body: '{"error":"rate limited"}',
    says: /asks for fewer requests/,
    hint: /BACKUP_S3_CONCURRENCY/,
  },
  {
    what: 'a key id that is too short for R2',
    status: 400,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>InvalidArgument</Code><Message>Credential access key has length 8, should be 32</Message></Error>',
    says: /access key id is unknown/,
    hint: /BACKUP_S3_ACCESS_KEY_ID/,
  },
  {
    what: 'a key id that Garage does not know',
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>AccessDenied</Code><Message>Forbidden: No such key: x</Message></Error>',
    says: /access key id is unknown/,
    hint: /BACKUP_S3_ACCESS_KEY_ID/,
  },
  {
    what: 'a secret that Garage finds wrong',
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>AccessDenied</Code><Message>Forbidden: Invalid signature</Message></Error>',
    says: /secret access key is wrong/,
    hint: /BACKUP_S3_SECRET_ACCESS_KEY/,
  },
  {
    what: 'a token that has expired',
    status: 400,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>ExpiredToken</Code><Message>x</Message></Error>',
    says: /token has expired/,
    hint: /new one/,
  },
  {
    what: 'an account that is suspended',
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>UserSuspended</Code><Message>x</Message></Error>',
    says: /account is suspended/,
    hint: /bills/,
  },
  {
    what: 'an account that was never activated',
    status: 403,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>NotSignedUp</Code><Message>x</Message></Error>',
    says: /never activated/,
    hint: /switched on/,
  },
  {
    what: 'a name that is none of a bucket',
    status: 400,
    headers: { 'content-type': 'application/xml' },
    body: '<Error><Code>InvalidBucketName</Code><Message>x</Message></Error>',
    says: /no bucket can have this name/,
    hint: /without a folder/,
  },
  {
    what: 'a status and no word',
    status: 417,
    says: /answers with status 417, and does not say why/,
    hint: /look up this answer/,
  },
];

describe('what answers at an endpoint', () => {
  for (const { what, says, hint, ...answer } of cases) {
    it(`is told for what it is when it is ${what}`, async () => {
      await using parrot = await startParrot(answer);
      const store = storeAt(`http://127.0.0.1:${parrot.port}`);
      await assertAllSay(store, { says, hint });
      await store.close();
    });
  }

  it('is no empty bucket for `list` and no place for a first backup when it is a page', async () => {
    using folder = temporaryDirectory();
    await using parrot = await startParrot({ status: 200, headers: html, body: page });
    const environment = {
      BACKUP_S3_ENDPOINT: `http://127.0.0.1:${parrot.port}`,
      BACKUP_S3_BUCKET: 'backups',
      BACKUP_S3_ACCESS_KEY_ID: 'test-key-id',
      BACKUP_S3_SECRET_ACCESS_KEY: 'test-secret-key',
      BACKUP_STATE_DIR: path.join(folder.path, 'state'),
    };
    for (const verb of ['list', 'verify', 'recovery-kit', 'prune', 'drill'] as const) {
      const { status, stdout, stderr } = await runCommand([verb], environment);
      if (verb !== 'recovery-kit') assert.notEqual(status, 0, `${verb}: ${stdout}`);
      assert.match(stderr + stdout, /a web page came instead of an answer/, verb);
      assert.doesNotMatch(stdout, /[Nn]o snapshots/, verb);
    }
  });

  it('is told for what it is when one side speaks TLS and the other does not', async () => {
    using folder = temporaryDirectory();
    const { certificate, key: file } = createAuthority(folder.path, 'localhost');
    const tls = createTlsServer({ cert: readFileSync(certificate), key: readFileSync(file) }, () => undefined);
    const plain = await startParrot({ status: 200 });
    const asked = storeAt(`http://127.0.0.1:${await listening(tls)}`);
    await assertAllSay(asked, { says: /speaks (?:no HTTP|TLS)|broke off/, hint: /https:|network/ });
    const other = storeAt(`https://127.0.0.1:${plain.port}`);
    await assertAllSay(other, { says: /speaks no TLS/, hint: /http:/ });
    await Promise.all([asked.close(), other.close(), plain[Symbol.asyncDispose]()]);
    tls.closeAllConnections();
    await new Promise((resolve) => tls.close(resolve));
  });

  it('is told for what it is when it speaks something else', async () => {
    const server = createSocketServer((socket) => {
      socket.on('error', () => undefined);
      socket.resume();
      socket.end('SSH-2.0-OpenSSH_9.2\r\n', () => socket.destroySoon());
    });
    const store = storeAt(`http://127.0.0.1:${await listening(server as unknown as Server)}`);
    await assertAllSay(store, { says: /speaks no HTTP/, hint: /port/ });
    await store.close();
    await new Promise((resolve) => server.close(resolve));
  });

  it('is no missing object where a bucket is asked for', async () => {
    await using parrot = await startParrot({
      status: 404,
      headers: { 'content-type': 'text/plain' },
      body: '404 page not found',
    });
    const store = storeAt(`http://127.0.0.1:${parrot.port}`);
    for (const verb of ['list', 'head', 'putDocument', 'put'] as const)
      await assert.rejects(verbs[verb]?.(store) ?? Promise.resolve(), /no answer of an S3 store \(status 404\)/, verb);
    await store.close();
  });

  it('names the right that a token lacks for listing', async () => {
    await using server = await startS3();
    server.rule(() => ({ kind: 'answer', status: 403, code: 'AccessDenied' }));
    const store = server.storeBehindDoor();
    await assert.rejects(collect(store.list('daily/', { signal })), { hint: /s3:ListBucket/ });
    await assert.rejects(collect(store.listUnfinished('', { signal })), {
      hint: /s3:ListBucketMultipartUploads/,
    });
  });
});

describe('a listing', () => {
  /** Answers these pages by the token that asks for them. */
  async function paged(pages: Readonly<Record<string, string>>): Promise<AsyncDisposable & { store: RemovableStore }> {
    let asked = 0;
    const server = createServer((request, response) => {
      asked += 1;
      const { searchParams } = new URL(request.url ?? '', 'http://x');
      const token = searchParams.get('continuation-token') ?? searchParams.get('key-marker') ?? '';
      response.setHeader('content-type', 'application/xml');
      response.end(asked > 20 ? '<enough' : pages[token]);
    });
    const store = storeAt(`http://127.0.0.1:${await listening(server)}`);
    return {
      store,
      async [Symbol.asyncDispose]() {
        await store.close();
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
        assert.ok(asked <= 20, 'it was asked for ever');
      },
    };
  }
  const objects = (...names: readonly string[]): string =>
    names.map((name) => `<Contents><Key>daily/${name}</Key><Size>1</Size></Contents>`).join('');
  const result = (inner: string, { next, count }: { next?: string | null; count?: number } = {}): string =>
    `<ListBucketResult><Name>b</Name>${count === undefined ? '' : `<KeyCount>${count}</KeyCount>`}<IsTruncated>${next !== undefined}</IsTruncated>${typeof next === 'string' ? `<NextContinuationToken>${next}</NextContinuationToken>` : ''}${inner}</ListBucketResult>`;

  for (const { what, pages, says } of [
    {
      what: 'gives the same token again',
      says: /same page comes again/,
      pages: { '': result(objects('a'), { next: 't' }), t: result(objects('b'), { next: 't' }) },
    },
    {
      what: 'goes in a larger circle',
      says: /same page comes again/,
      pages: {
        '': result(objects('a'), { next: 't' }),
        t: result(objects('b'), { next: 'u' }),
        u: result(objects('c'), { next: 't' }),
      },
    },
    {
      what: 'gives the same page under new tokens',
      says: /same page comes again/,
      pages: { '': result(objects('a'), { next: 't' }), t: result(objects('a'), { next: 'u' }) },
    },
    {
      what: 'goes on, and does not say where',
      says: /does not say which/,
      pages: { '': result(objects('a'), { next: null }) },
    },
    {
      what: 'has less on a page than it says',
      says: /says that it has 3 objects, and has 1/,
      pages: { '': result(objects('a'), { count: 3 }) },
    },
    {
      what: 'ends in a page that is none',
      says: /no answer of an S3 store/,
      pages: { '': result(objects('a'), { next: 't' }), t: '<feed/>' },
    },
  ]) {
    it(`that ${what} is an error, and neither endless nor taken for all there is`, async () => {
      await using place = await paged(pages);
      await assert.rejects(collect(place.store.list('daily/', { signal })), says);
    });
  }

  it('of unfinished uploads that goes in a circle is an error too', async () => {
    const uploads =
      '<ListMultipartUploadsResult><Bucket>b</Bucket><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker></ListMultipartUploadsResult>';
    await using place = await paged({ '': uploads, k: uploads });
    await assert.rejects(collect(place.store.listUnfinished('daily/', { signal })), /same page comes again/);
  });

  it('of empty pages before the last is read to its end', async () => {
    await using place = await paged({ '': result('', { next: 't', count: 0 }), t: result(objects('a'), { count: 1 }) });
    const found = await collect(place.store.list('daily/', { signal }));
    assert.deepEqual(
      found.map((one) => one.key),
      ['daily/a'],
    );
  });
});

describe('behind something that spoils answers', () => {
  let server: S3TestServer;
  let store: RemovableStore;
  const content = Buffer.from('0123456789'.repeat(100_000));
  before(async () => {
    server = await startS3();
    store = server.storeBehindDoor();
    await server.store().put(key, Readable.from([content]), { signal, partBytes: 5 * 1024 * 1024 });
  });
  after(async () => server[Symbol.asyncDispose]());

  async function readAll(): Promise<Buffer> {
    const sha256 = createHash('sha256').update(content).digest('hex');
    const patience = { attempts: 3, pauseMs: 1 };
    return buffer(readPatiently(store, { key, bytes: content.length, sha256, log: quietLog, signal, patience }));
  }

  it('an object whose ETag was weakened on its way is read, and says nothing of its bytes', async () => {
    server.rule(() => ({ kind: 'headers', headers: { etag: 'W/"0123456789abcdef0123456789abcdef"' } }));
    assert.equal((await store.head(key, { signal }))?.etag, null);
    // As Ceph 16 answers the end of a multipart upload.
    server.rule(() => ({ kind: 'headers', headers: { etag: '""' } }));
    assert.equal((await store.head(key, { signal }))?.etag, null);
    assert.ok((await readAll()).equals(content));
  });

  it('an object with another ETag at every look is read, also where the line breaks', async () => {
    let cut = false;
    server.rule(({ method }) => {
      if (method === 'HEAD') return { kind: 'headers', headers: { etag: '"0123456789abcdef0123456789abcdef"' } };
      if (method !== 'GET' || cut) return { kind: 'pass' };
      cut = true;
      return { kind: 'cut', afterBytes: 300_000 };
    });
    assert.ok((await readAll()).equals(content));
    assert.ok(cut);
  });

  it('an object that comes whole where only its rest was asked for is read right', async () => {
    let cut = false;
    server.rule(({ method }) => {
      if (method !== 'GET') return { kind: 'pass' };
      if (cut) return { kind: 'without', header: 'range' };
      cut = true;
      return { kind: 'cut', afterBytes: 300_000 };
    });
    assert.ok((await readAll()).equals(content));
  });

  it('what is listed is never called missing, whoever says so', async () => {
    server.rule(({ method }) =>
      method === 'HEAD' ? { kind: 'answer', status: 404, code: 'NoSuchKey' } : { kind: 'pass' },
    );
    await assert.rejects(store.head(key, { signal }), { code: 'store' });
    assert.equal(await store.head('daily/other' as ObjectKey, { signal }), null);
  });
});
