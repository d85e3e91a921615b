// /healthz and /metrics over HTTP, with a bearer token where one is set. It only reads what is remembered, so a flood of
// requests costs neither the database nor the bucket anything. Without a token it answers only to names that nobody else can own.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { App } from '../app/app.ts';
import { AppError, describeError } from '../errors.ts';
import { isMeantForUs } from './caller.ts';
import { renderMetrics } from './metrics.ts';

const requestTimeoutMs = 10_000;
/** How often is looked for requests that take longer; a client that is slow on purpose holds its connection no longer. */
const timeoutPollMs = 1_000;
/** A connection on which nothing moves is closed, also one that does not take its answer. */
const idleMs = 30_000;
/** More at once are none of a monitor's or a person's. */
const maxConnections = 256;

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
  app: Pick<App, 'log' | 'remembered' | 'status'>,
  options: HttpOptions,
): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer(
    {
      requestTimeout: requestTimeoutMs,
      headersTimeout: requestTimeoutMs,
      connectionsCheckingInterval: timeoutPollMs,
    },
    (request, response) => {
      answer(app, { ...options, request, response }).catch((error: unknown) => {
        app.log.error({ err: error }, 'A request could not be answered');
        if (!response.headersSent) send(response, { status: 500, type: 'text/plain', body: 'internal error\n' });
      });
    },
  );
  server.maxConnections = maxConnections;
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
  app.log.info({ port }, 'Serving /healthz and /metrics');
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function answer(
  app: Pick<App, 'remembered' | 'status'>,
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
    response.setHeader('www-authenticate', 'Bearer');
    send(response, { status: 401, type: 'text/plain', body: 'a bearer token is needed\n' });
    return;
  }
  const remembered = async (): ReturnType<App['remembered']> => app.remembered();
  switch ((request.url ?? '').replace(/[?#].*$/s, '')) {
    case '/healthz': {
      const { health } = await remembered();
      const body = `${JSON.stringify(health, null, 2)}\n`;
      send(response, { status: health.healthy ? 200 : 503, type: 'application/json', body });
      return;
    }
    case '/metrics': {
      const { contentType, text } = await renderMetrics(await remembered(), { toolVersion });
      send(response, { status: 200, type: contentType, body: text });
      return;
    }
    case '/status.json': {
      send(response, {
        status: 200,
        type: 'application/json',
        body: `${JSON.stringify(await app.status(), null, 2)}\n`,
      });
      return;
    }
    default:
      send(response, { status: 404, type: 'text/plain', body: 'see /status.json, /healthz and /metrics\n' });
  }
}

function send(
  response: ServerResponse,
  { status, type, body }: { readonly status: number; readonly type: string; readonly body: string },
): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
  response.end(body);
}

// Compared as hashes, in constant time.
function isAuthorized(header: string | undefined, token: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(header ?? ''), digest(`Bearer ${token}`));
}
