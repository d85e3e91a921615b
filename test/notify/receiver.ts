// An HTTP server that takes what channels send, and answers as it is told.

import { createServer, type IncomingHttpHeaders } from 'node:http';

/** What came. */
export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An answer; `hang` never comes. */
export type Answer =
  'hang' | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> };

/** A running receiver. */
export interface Receiver extends AsyncDisposable {
  readonly url: string;
  readonly received: Received[];
  /** Answers, in turn; the last one for all that follow. The default is 200. */
  answer(...answers: readonly Answer[]): void;
}

/** Starts one. */
export async function startReceiver(): Promise<Receiver> {
  const received: Received[] = [];
  let answers: Answer[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      received.push({ method, path: url, headers, body: Buffer.concat(chunks).toString('utf8') });
      const answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? { status: 200 };
      if (answer === 'hang') return;
      response.writeHead(answer.status, answer.headers);
      response.end(answer.body ?? 'ok');
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('No port');
  return {
    url: `http://127.0.0.1:${address.port}`,
    received,
    answer(...next) {
      answers = [...next];
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
