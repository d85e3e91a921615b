// What is served over HTTP to a monitor, and what to those who are none: pages that borrow a name, clients that are slow on
// purpose, requests that are no requests.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { isMeantForUs } from '../../src/http/caller.ts';
import { startHttp, type HttpOptions } from '../../src/http/server.ts';
import { openApp } from '../support/app.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const usual: HttpOptions = { listen: null, port: 0, token: null, ownNames: ['social.example'], toolVersion: '0' };

describe('a name that is asked for', () => {
  const meant = (host: string | undefined): boolean => isMeantForUs(host, { ownNames: ['social.example'] });

  it('is answered to when nobody else can own it', () => {
    for (const host of [
      undefined,
      '',
      '127.0.0.1',
      '127.0.0.1:9187',
      '10.0.3.7:9187',
      '[::1]:9187',
      '[fd00::7]',
      'localhost:9187',
      'LOCALHOST.',
      'backup:9187',
      'mastodon_backup_1:9187',
      'backup.mastodon.svc.cluster.local',
      'backup.mastodon.svc:9187',
      'nas.lan:9187',
      'host.docker.internal',
      'social.example',
      'Backup.Social.Example:443',
    ])
      assert.ok(meant(host), String(host));
  });

  it('is not when anybody could have bought it, whatever it looks like', () => {
    for (const host of [
      'evil.example',
      'evil.example:9187',
      'social.example.evil.net',
      'notsocial.example',
      'localhost.evil.net',
      '127.0.0.1.nip.io',
      '[evil.example]',
      '[::1].evil.net',
      'evil.example/localhost',
      'evil.example#.localhost',
      'user@localhost',
      'a b',
    ])
      assert.ok(!meant(host), host);
  });
});

describe('the HTTP server', () => {
  const scratch = temporaryDirectory();
  const app = openApp({ BACKUP_LOCAL_DIR: scratch.path, BACKUP_STATE_DIR: `${scratch.path}/state`, DB_HOST: 'db' });
  let server: Awaited<ReturnType<typeof startHttp>>;
  before(async () => {
    server = await startHttp(app, usual);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await app[Symbol.asyncDispose]();
    scratch[Symbol.dispose]();
  });

  /** Sends exactly these bytes and answers all that comes until the connection is closed. */
  async function exchange(text: string, port = server.port): Promise<string> {
    const socket = connect(port, '127.0.0.1');
    socket.write(text);
    let said = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      said += chunk;
    });
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.once('close', resolve));
    return said;
  }
  const ask = async (target: string, { method = 'GET', host = 'localhost' } = {}): Promise<string> =>
    exchange(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const statusOf = (answer: string): string => /^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? answer;

  it('answers whatever path is asked for, and none of them with an error of its own', async () => {
    for (const target of ['//', '///', '/\\', '/%', '/%00', '/healthz/', '*', 'http://', 'http://[', '/..//'])
      assert.match(statusOf(await ask(target)), /^40[04]$/, target);
    for (const target of ['/healthz', '/healthz?x=//', '/healthz?%']) {
      assert.equal(statusOf(await ask(target)), '503', target);
    }
    for (const target of ['/', '/?', '/?%', '/status.json?x=//'])
      assert.equal(statusOf(await ask(target)), '200', target);
  });

  it('reads and tells nothing under a name that anybody could have pointed at it', async () => {
    const answer = await ask('/metrics', { host: 'evil.example' });
    assert.equal(statusOf(answer), '421');
    assert.doesNotMatch(answer, /mastodon_backup_/);
    assert.match(answer, /BACKUP_HTTP_TOKEN/);
    assert.match(await ask('/metrics', { host: 'backup.social.example' }), /mastodon_backup_/);
  });

  it('answers under any name to whoever has the token', async () => {
    await using guarded = await startHttp(app, { ...usual, token: 'secret' });
    const from = async (header: string): Promise<string> =>
      statusOf(
        await exchange(
          `GET /metrics HTTP/1.1\r\nHost: metrics.example.net\r\n${header}Connection: close\r\n\r\n`,
          guarded.port,
        ),
      );
    assert.equal(await from('Authorization: Bearer secret\r\n'), '200');
    assert.equal(await from(''), '401');
  });

  it('answers requests that are none with what is wrong with them, and no other methods', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND']) {
      const answer = await ask('/healthz', { method });
      assert.equal(statusOf(answer), '405', method);
      assert.match(answer, /^allow: GET, HEAD\r$/im);
    }
    assert.doesNotMatch(await ask('/healthz', { method: 'HEAD' }), /\r\n\r\n./s);
    assert.equal(statusOf(await exchange('nonsense\r\n\r\n')), '400');
    const huge = `GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ${'a'.repeat(100_000)}\r\n\r\n`;
    assert.equal(statusOf(await exchange(huge)), '431');
    assert.equal(await exchange('CONNECT db:5432 HTTP/1.1\r\nHost: db:5432\r\n\r\n'), '');
  });

  it('lets go of a client that never ends its request, and serves others meanwhile', async () => {
    const slow = exchange('GET /healthz HTTP/1.1\r\nHost: loc');
    assert.equal(statusOf(await ask('/healthz')), '503');
    assert.equal(statusOf(await slow), '408');
  });

  it('answers a monitor though hundreds of clients hang, in their request or before their answer', async () => {
    const hanging = ['GET /healthz HTTP/1.1\r\nHost: loc', 'GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n', ''];
    const sockets = Array.from({ length: 400 }, (_, index) => {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined).pause();
      socket.write(hanging[index % hanging.length] ?? '');
      return socket;
    });
    try {
      const all = await Promise.all(Array.from({ length: 40 }, async () => ask('/status.json')));
      assert.deepEqual([...new Set(all.map(statusOf))], ['200']);
      assert.equal(statusOf(await ask('/healthz')), '503');
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  it('keeps a connection longer than a proxy does, so that no request meets one that is being closed', async () => {
    const answer = await fetch(`http://127.0.0.1:${server.port}/healthz`);
    await answer.text();
    const [, seconds] = /timeout=(\d+)/.exec(answer.headers.get('keep-alive') ?? '') ?? [];
    assert.ok(Number(seconds) > 120, String(seconds));
  });

  it('listens where it is told, and says when that is no address of this machine', async () => {
    await using local = await startHttp(app, { ...usual, listen: '127.0.0.2' });
    await assert.rejects(fetch(`http://127.0.0.1:${local.port}/healthz`));
    assert.equal((await fetch(`http://127.0.0.2:${local.port}/healthz`)).status, 503);
    await assert.rejects(startHttp(app, { ...usual, listen: '192.0.2.1' }), { hint: /BACKUP_HTTP_LISTEN/ });
  });
});
