// Behind a proxy: whatever leaves by HTTP goes through it, as Node means the variables, and what they name as near does not.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer, request as forward } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { after, before, describe, it } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { readProxy } from '../../src/config/proxy.ts';
import { mailProxy } from '../../src/mastodon/mail-proxy.ts';
import { createAuthority } from '../support/certificates.ts';
import { runCommand, runProcess } from '../support/command.ts';
import { startProvider } from '../support/providers/provider.ts';
import { startS3, type S3TestServer } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** What it was asked for, such as `CONNECT bucket.example:443`. */
  readonly asked: string[];
}

/** A proxy that leads every name to this machine; `refuses` with this status whoever asks for a tunnel. */
async function startProxy({
  refuses,
  ports = {},
}: { refuses?: number; ports?: Record<string, number> } = {}): Promise<Proxy> {
  const asked: string[] = [];
  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${new URL(incoming.url ?? '').host}`);
    const { port, pathname, search } = new URL(incoming.url ?? '');
    const { method, headers } = incoming;
    const inner = forward({ host: '127.0.0.1', port, method, headers, path: `${pathname}${search}` }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(inner);
  });
  server.on('connect', (incoming, socket, head: Buffer) => {
    asked.push(`CONNECT ${incoming.url}`);
    socket.on('error', () => undefined);
    if (refuses !== undefined) {
      socket.end(`HTTP/1.1 ${refuses} No\r\n\r\n`);
      return;
    }
    const [host = '', port] = (incoming.url ?? '').split(':');
    const upstream = connect(ports[host] ?? Number(port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('behind a proxy', () => {
  let s3: S3TestServer;
  let tlsPort: number;
  const folder = temporaryDirectory();
  const authority = createAuthority(folder.path, 'localhost');
  // The bucket over TLS, with a certificate of a private authority.
  const tls = createTlsServer(
    { cert: readFileSync(authority.certificate), key: readFileSync(authority.key) },
    (socket) => {
      const inner = connect(Number(new URL(s3.endpoint).port), '127.0.0.1');
      socket.on('error', () => inner.destroy());
      inner.on('error', () => socket.destroy());
      socket.pipe(inner).pipe(socket);
    },
  );
  before(async () => {
    s3 = await startS3();
    await new Promise<void>((resolve) => {
      tls.listen(0, '127.0.0.1', resolve);
    });
    tlsPort = (tls.address() as AddressInfo).port;
  });
  after(async () => {
    tls.close();
    await s3[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });
  const environment = () => ({
    ...s3.environment,
    BACKUP_STATE_DIR: `${folder.path}/state`,
    LOCAL_DOMAIN: 'social.example',
    DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none',
  });

  it('the bucket is reached through it over TLS, with the authority of NODE_EXTRA_CA_CERTS', async () => {
    await using proxy = await startProxy();
    for (const name of ['HTTPS_PROXY', 'https_proxy']) {
      const { status, stderr } = await runProcess(['list'], {
        ...environment(),
        BACKUP_S3_ENDPOINT: `https://localhost:${tlsPort}`,
        NODE_EXTRA_CA_CERTS: authority.certificate,
        [name]: proxy.url,
      });
      assert.equal(status, 0, stderr);
      assert.deepEqual([...new Set(proxy.asked.splice(0))], [`CONNECT localhost:${tlsPort}`]);
    }
  });

  it('the bucket without TLS is reached through HTTP_PROXY, and what NO_PROXY names directly', async () => {
    await using proxy = await startProxy();
    const settings = { ...environment(), HTTP_PROXY: proxy.url };
    assert.equal((await runCommand(['list'], settings)).status, 0);
    const { host } = new URL(s3.endpoint);
    assert.deepEqual([...new Set(proxy.asked.splice(0))], [`GET ${host}`]);
    assert.equal((await runCommand(['list'], { ...settings, no_proxy: '127.0.0.1' })).status, 0);
    assert.deepEqual(proxy.asked, []);
  });

  it('that cannot be reached is named, and not the endpoint', async () => {
    await using gone = await startProxy();
    await gone[Symbol.asyncDispose]();
    for (const [name, says] of [
      [gone.url, /ECONNREFUSED/],
      [gone.url.replace('127.0.0.1', 'user:secret-password@localhost'), /ECONNREFUSED/],
      ['http://proxy.invalid:3128', /ENOTFOUND|EAI_AGAIN/],
    ] as const) {
      const { status, stderr } = await runCommand(['list'], {
        ...environment(),
        HTTP_PROXY: name,
        no_proxy: '127.0.0.0/8',
      });
      assert.equal(status, 12, stderr);
      assert.match(stderr, /the proxy cannot be reached \(/);
      assert.match(stderr, says);
      assert.match(stderr, /Check HTTPS_PROXY and HTTP_PROXY, or name the endpoint in NO_PROXY/);
      assert.doesNotMatch(stderr, /secret-password|external_network/);
    }
  });

  it('messages go through it, mail too, and the database does not', async () => {
    const mails: string[] = [];
    const smtp = new SMTPServer({
      disabledCommands: ['AUTH', 'STARTTLS'],
      onData(stream, _session, callback) {
        stream.resume().once('end', () => {
          mails.push('one');
          callback();
        });
      },
    });
    await new Promise<void>((resolve) => {
      smtp.listen(0, '127.0.0.1', resolve);
    });
    await using _smtp = {
      [Symbol.asyncDispose]: async () => new Promise<void>((resolve) => smtp.close(() => resolve())),
    };
    await using proxy = await startProxy({
      ports: { 'mail.far.example': (smtp.server.address() as AddressInfo).port },
    });
    await using chat = await startProvider(() => ({ status: 200 }));
    const settings = {
      ...environment(),
      HTTP_PROXY: proxy.url,
      HTTPS_PROXY: proxy.url,
      BACKUP_WEBHOOK_URL: `${chat.url}/hook`,
      BACKUP_EMAIL_TO: 'admin@social.example',
      SMTP_SERVER: 'mail.far.example',
      SMTP_PORT: '2525',
    };
    const { status, stdout, stderr } = await runProcess(['notify', 'test'], settings);
    assert.equal(status, 0, stdout + stderr);
    assert.deepEqual(proxy.asked.toSorted(), ['CONNECT mail.far.example:2525', `POST ${new URL(chat.url).host}`]);
    assert.deepEqual([mails, chat.requests.length], [['one'], 1]);
    proxy.asked.length = 0;
    assert.equal((await runProcess(['run'], { ...settings, BACKUP_NOTIFY: 'off', no_proxy: '127.0.0.1' })).status, 10);
    assert.deepEqual(proxy.asked, []);
  });

  it('that refuses is named, and what is no proxy is an error of the settings', async () => {
    await using proxy = await startProxy({ refuses: 407 });
    const settings = { ...environment(), BACKUP_S3_ENDPOINT: `https://localhost:${tlsPort}`, HTTPS_PROXY: proxy.url };
    const refused = await runCommand(['list'], settings);
    assert.equal(refused.status, 12);
    assert.match(refused.stderr, /the proxy lets nothing through.*Check HTTPS_PROXY.*NO_PROXY/s);
    const wrong = await runProcess(['list'], {
      ...settings,
      HTTPS_PROXY: 'socks5://proxy:secret-password@proxy.example:1080',
    });
    assert.equal(wrong.status, 2, wrong.stderr);
    assert.match(wrong.stderr, /HTTPS_PROXY.*not the address of a proxy/s);
    assert.doesNotMatch(wrong.stderr, /secret-password/);
    // Node's agents throw at it, before anything could be said.
    for (const [name, credentials] of [
      ['HTTPS_PROXY', 'proxy:100%safe'],
      ['http_proxy', 'pro%xy:safe'],
    ] as const) {
      const { status, stderr } = await runProcess(['list'], {
        ...environment(),
        [name]: `http://${credentials}@proxy.example:3128`,
      });
      assert.equal(status, 2, stderr);
      assert.match(stderr, /HTTPS?_PROXY \[hidden\]: has a '%' that encodes nothing\. Write '%25'/);
      assert.doesNotMatch(stderr, /safe/);
    }
  });
});

it('a bare host and port is a proxy for HTTP, as curl has it', () => {
  assert.deepEqual(
    readProxy((name) => ({ HTTPS_PROXY: 'proxy.example:3128' })[name]),
    { HTTPS_PROXY: 'http://proxy.example:3128' },
  );
});

it('a mail server that is near, or that NO_PROXY names, is reached directly', () => {
  const proxy = readProxy((name) => ({ HTTPS_PROXY: 'http://p:1', NO_PROXY: 'intern.example, .near.example' })[name]);
  const through = (host: string) => mailProxy(proxy, { host, port: 587 }) !== null;
  for (const host of ['postfix', 'localhost', '127.0.0.1', '10.1.2.3', 'intern.example', 'mail.near.example'])
    assert.equal(through(host), false, host);
  for (const host of ['mail.far.example', 'smtp.example', '203.0.113.5']) assert.equal(through(host), true, host);
  assert.equal(
    mailProxy(
      readProxy(() => undefined),
      { host: 'mail.far.example', port: 25 },
    ),
    null,
  );
});
