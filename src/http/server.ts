// The status page, /status.json, /healthz and /metrics over HTTP, with a token where one is set. It only reads what is remembered, so a flood of
// requests costs neither the database nor the bucket anything. Without a token it answers only to names that nobody else can own.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { App } from '../app/app.ts';
import { AppError, describeError } from '../errors.ts';
import { isMeantForUs } from './caller.ts';
import { holdConnections } from './connections.ts';
import { drillPage } from './drill-page.ts';
import { madeOnce } from './made-once.ts';
import { renderMetrics } from './metrics.ts';
import { icon } from './page.ts';
import type { Status } from '../status/status.ts';
import { statusPage } from './status-page.ts';
import { style } from './style.ts';

const requestTimeoutMs = 10_000;
/** How often is looked for requests that take longer; a client that is slow on purpose holds its connection no longer. */
const timeoutPollMs = 1_000;
/** A connection on which nothing moves is closed, also one that does not take its answer. */
const idleMs = 30_000;
/** Longer than proxies keep a connection for the next request (nginx a minute, Caddy two): who closes first may cut one off. */
const keepAliveMs = 150_000;

/** How often the status page is loaded again, while something is under way and else. */
const activeSeconds = 5;
const idleSeconds = 60;

/** How HTTP is served. */
export interface HttpOptions {
  /** Null: all addresses. */
  readonly listen: string | null;
  readonly port: number;
  readonly token: string | null;
  /** Domains that are ours: these names and those below them are answered to without a token. */
  readonly ownNames: readonly string[];
  readonly toolVersion: string;
}

/** Serves until it is disposed of. Throws AppError `settings` when the port cannot be had. */
export async function startHttp(
  app: Pick<App, 'log' | 'remembered' | 'status' | 'drillReport'>,
  options: HttpOptions,
): Promise<AsyncDisposable & { readonly port: number }> {
  const shown = prepare(app);
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: timeoutPollMs,
      keepAliveTimeout: keepAliveMs,
    },
    (request, response) => {
      answer(shown, { ...options, request, response }).catch((error: unknown) => {
        app.log.error({ err: error }, 'A request could not be answered');
        if (!response.headersSent) send(response, { status: 500, type: 'text/plain', body: 'internal error\n' });
      });
    },
  );
  holdConnections(server);
  server.setTimeout(idleMs);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const isAddress = (error as NodeJS.ErrnoException).code === 'EADDRNOTAVAIL';
      reject(
        new AppError('settings', `Port ${options.port} cannot be served: ${describeError(error)}`, {
          cause: error,
          hint: isAddress
            ? 'Set BACKUP_HTTP_LISTEN to an address of this machine, or leave it out.'
            : 'Set BACKUP_HTTP_PORT to a free port above 1023.',
        }),
      );
    });
    server.listen({ port: options.port, ...(options.listen === null ? {} : { host: options.listen }) }, resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : options.port;
  app.log.info({ port }, 'Serving the status page, /healthz and /metrics');
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Shown extends Pick<App, 'remembered' | 'status' | 'drillReport'> {
  readonly document: () => Promise<Buffer>;
  readonly page: () => Promise<{ readonly refreshSeconds: number | null; readonly text: Buffer }>;
  readonly heldPage: Shown['page'];
}

function prepare(app: Pick<App, 'remembered' | 'status' | 'drillReport'>): Shown {
  const status = madeOnce(async () => app.status());
  // Of ten thousand snapshots it has megabytes, which are not turned into bytes for each who asks.
  const pageOf = (known: Status, refreshSeconds: number | null): Awaited<ReturnType<Shown['page']>> => ({
    refreshSeconds,
    text: Buffer.from(statusPage(known, { refreshSeconds })),
  });
  return {
    status,
    remembered: madeOnce(async () => app.remembered()),
    drillReport: async (id) => app.drillReport(id),
    document: madeOnce(async () => Buffer.from(`${JSON.stringify(await status(), null, 2)}\n`)),
    page: madeOnce(async () => {
      const known = await status();
      const refreshSeconds = known.activities.length > 0 ? activeSeconds : idleSeconds;
      return pageOf(known, refreshSeconds);
    }),
    heldPage: madeOnce(async () => pageOf(await status(), null)),
  };
}

async function answer(
  app: Shown,
  {
    token,
    ownNames,
    toolVersion,
    request,
    response,
  }: Pick<HttpOptions, 'token' | 'ownNames' | 'toolVersion'> & {
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
  },
): Promise<void> {
  const path = (request.url ?? '').replace(/[?#].*$/s, '');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.setHeader('allow', 'GET, HEAD');
    send(response, { status: 405, type: 'text/plain', body: 'only GET and HEAD\n' });
    return;
  }
  // Whoever has the token may come by any name.
  if (token === null && !isMeantForUs(request.headers.host, { ownNames })) {
    const body = 'not answered to under this name; set BACKUP_HTTP_TOKEN to be, or ask by the address\n';
    send(response, { status: 421, type: 'text/plain', body });
    return;
  }
  if (token !== null && !isAuthorized(request.headers.authorization, token)) {
    // A browser asks a person for it, any user name will do; a monitor is not a person.
    const isMachine = /^\/(?:healthz|metrics)$/.test(path);
    response.setHeader(
      'www-authenticate',
      isMachine ? 'Bearer' : ['Basic realm="mastodon-backup", charset="UTF-8"', 'Bearer'],
    );
    send(response, { status: 401, type: 'text/plain', body: 'a bearer token is needed, or it as the password\n' });
    return;
  }
  switch (path) {
    case '/healthz': {
      const { health } = await app.remembered();
      const body = `${JSON.stringify(health, null, 2)}\n`;
      send(response, { status: health.healthy ? 200 : 503, type: 'application/json', body });
      return;
    }
    case '/metrics': {
      const { contentType, text } = await renderMetrics(await app.remembered(), { toolVersion });
      send(response, { status: 200, type: contentType, body: text });
      return;
    }
    case '/status.json': {
      send(response, {
        status: 200,
        type: 'application/json',
        body: await app.document(),
      });
      return;
    }
    case '/': {
      const isHeld = request.url?.endsWith('?hold') === true;
      const { refreshSeconds, text } = await (isHeld ? app.heldPage() : app.page());
      // As a header and not in the page: whoever reads it aloud may hold it.
      if (refreshSeconds !== null) response.setHeader('refresh', String(refreshSeconds));
      sendPage(response, text);
      return;
    }
    case '/style.css': {
      send(response, { status: 200, type: 'text/css', body: style });
      return;
    }
    default: {
      const image = icon(/^\/icon\/(\w+)\.svg$/.exec(path)?.[1] ?? '');
      if (image !== null) {
        send(response, { status: 200, type: 'image/svg+xml', body: image });
        return;
      }
      const report = await app.drillReport(/^\/drills\/([\w-]{1,64})$/.exec(path)?.[1] ?? '');
      if (report !== null) {
        const { timeZone } = await app.status();
        sendPage(response, drillPage(report, { timeZone }));
        return;
      }
      send(response, { status: 404, type: 'text/plain', body: 'see /, /status.json, /healthz and /metrics\n' });
    }
  }
}

function sendPage(response: ServerResponse, body: string | Buffer): void {
  send(response, { status: 200, type: 'text/html; charset=utf-8', body });
}

// Nothing but what we serve ourselves, no script at all, in nobody's frame.
const policy =
  "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

function send(
  response: ServerResponse,
  { status, type, body }: { readonly status: number; readonly type: string; readonly body: string | Buffer },
): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-security-policy': policy,
    'referrer-policy': 'no-referrer',
    'cross-origin-resource-policy': 'same-origin',
  });
  response.end(body);
}

// Compared as hashes, in constant time.
function isAuthorized(header: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const isToken = (text: string): boolean => timingSafeEqual(digest(text), digest(token));
  return credentialsOf(header ?? '').some(isToken);
}

// A bearer token, or the password of basic authentication (RFC 7617), whoever it is. Node reads the bytes of a header as Latin-1;
// curl sends those of a terminal, which are UTF-8.
function credentialsOf(header: string): readonly string[] {
  const [, scheme = '', value = ''] = /^(bearer|basic) +(.*)$/i.exec(header) ?? [];
  if (scheme.toLowerCase() !== 'basic') return [value, Buffer.from(value, 'latin1').toString('utf8')];
  return [
    Buffer.from(value, 'base64')
      .toString('utf8')
      .replace(/^[^:]*:?/, ''),
  ];
}
