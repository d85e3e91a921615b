// /healthz and /metrics over HTTP, with a bearer token where one is set. It only reads what is remembered, so a flood of
// requests costs neither the database nor the bucket anything.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { App } from '../app/app.ts';
import { AppError, describeError } from '../errors.ts';
import { renderMetrics } from './metrics.ts';

const requestTimeoutMs = 10_000;

/** Serves until it is disposed of. Throws AppError `settings` when the port cannot be had. */
export async function startHttp(
  app: Pick<App, 'log' | 'remembered'>,
  options: { readonly port: number; readonly token: string | null; readonly toolVersion: string },
): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer(
    { requestTimeout: requestTimeoutMs, headersTimeout: requestTimeoutMs },
    (request, response) => {
      answer(app, { ...options, request, response }).catch((error: unknown) => {
        app.log.error({ err: error }, 'A request could not be answered');
        if (!response.headersSent) send(response, { status: 500, type: 'text/plain', body: 'internal error\n' });
      });
    },
  );
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      reject(
        new AppError('settings', `Port ${options.port} cannot be served: ${describeError(error)}`, {
          cause: error,
          hint: 'Set BACKUP_HTTP_PORT to a free port above 1023.',
        }),
      );
    });
    server.listen(options.port, resolve);
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
  app: Pick<App, 'remembered'>,
  {
    token,
    toolVersion,
    request,
    response,
  }: {
    readonly token: string | null;
    readonly toolVersion: string;
    readonly request: IncomingMessage;
    readonly response: ServerResponse;
  },
): Promise<void> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    send(response, { status: 405, type: 'text/plain', body: 'only GET and HEAD\n' });
    return;
  }
  if (token !== null && !isAuthorized(request.headers.authorization, token)) {
    response.setHeader('www-authenticate', 'Bearer');
    send(response, { status: 401, type: 'text/plain', body: 'a bearer token is needed\n' });
    return;
  }
  const remembered = async (): ReturnType<App['remembered']> => app.remembered();
  switch (new URL(request.url ?? '/', 'http://localhost').pathname) {
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
    default:
      send(response, { status: 404, type: 'text/plain', body: 'see /healthz and /metrics\n' });
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
