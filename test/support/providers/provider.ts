// A server that answers as a service's documentation says it does, and keeps what it was sent.

import { createServer, type IncomingHttpHeaders } from 'node:http';

/** What came. */
export interface ProviderRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** What goes back: JSON, or text as it is. */
export interface ProviderAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A running service. */
export interface Provider extends AsyncDisposable {
  readonly url: string;
  readonly requests: ProviderRequest[];
}

/** Starts one; `hang` is an answer that never comes. */
export async function startProvider(answer: (request: ProviderRequest) => ProviderAnswer | 'hang'): Promise<Provider> {
  const requests: ProviderRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const { method = '', url = '', headers } = incoming;
      const request = { method, path: url, headers, body: Buffer.concat(chunks).toString('utf8') };
      requests.push(request);
      const found = answer(request);
      if (found === 'hang') return;
      const { status, body, headers: extra } = found;
      const text = body === undefined || typeof body === 'string' ? (body ?? '') : JSON.stringify(body);
      outgoing.writeHead(status, {
        'content-type': typeof body === 'string' ? 'text/plain' : 'application/json',
        ...extra,
      });
      outgoing.end(text);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('No port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
