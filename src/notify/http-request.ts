// One HTTP request of a channel: answers other than 2xx are failures in the words that the service has for them, redirects are
// not followed (they would carry a secret address elsewhere), and no more than a few KiB of an answer are read.

import { describeError } from '../errors.ts';
import { DeliveryError } from './channel.ts';
import { explainStatus, isPage, retryAfterMs, saidIn } from './http-answer.ts';

const largestAnswerBytes = 64 * 1024;

/** What one request takes. */
export interface RequestOptions {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
  /** Whether a page of HTML is an answer, too; left out: it is that of somebody else, such as a login before the service. */
  readonly takesPages?: boolean;
}

/** The start of an answer that went well. */
export interface Answer {
  readonly status: number;
  readonly text: string;
}

/**
 * Sends it and answers with what came back. User and password in the address go as an Authorization header. Rejects with
 * `DeliveryError`, whose text never has the address.
 */
export async function request(address: string, options: RequestOptions): Promise<Answer> {
  const { url, authorization } = withoutCredentials(address);
  const headers = { ...authorization, ...options.headers };
  let response: Response;
  try {
    const { method, body, signal } = options;
    response = await fetch(url, {
      method,
      headers,
      signal,
      redirect: 'manual',
      ...(body === undefined ? {} : { body }),
    });
  } catch (error) {
    options.signal.throwIfAborted();
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new DeliveryError(describeError(cause), { retryable: true });
  }
  const text = await readStart(response);
  const { status } = response;
  if (response.ok && (options.takesPages === true || !isPage(text))) return { status, text };
  if (response.ok) {
    throw new DeliveryError(
      `It answered with a web page ('${saidIn(text)}') and not as the service does: the address is that of a page, or a login stands before it`,
      { retryable: true },
    );
  }
  throw new DeliveryError(explainStatus(response, saidIn(text)), {
    retryable: status === 408 || status === 429 || status >= 500,
    retryAfterMs: status === 429 || status === 503 ? retryAfterMs(response.headers, text) : null,
  });
}

// `fetch` refuses an address that has them.
function withoutCredentials(address: string): {
  readonly url: string;
  readonly authorization: Readonly<Record<string, string>>;
} {
  const url = new URL(address);
  const { username, password } = url;
  if (username === '' && password === '') return { url: address, authorization: {} };
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  url.username = '';
  url.password = '';
  return {
    url: url.href,
    authorization: { authorization: `Basic ${Buffer.from(credentials).toString('base64')}` },
  };
}

async function readStart(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    while (bytes < largestAnswerBytes) {
      const { done, value } = (await reader.read()) as { readonly done: boolean; readonly value?: Uint8Array };
      if (done || value === undefined) break;
      chunks.push(value);
      bytes += value.length;
    }
    await reader.cancel();
  } catch {
    // The answer's status counts, whatever became of its text.
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** A request with a JSON body; answers with what came back. */
export async function postJson(
  url: string,
  { body, ...options }: Omit<RequestOptions, 'method' | 'body'> & { readonly body: unknown; readonly method?: 'PUT' },
): Promise<Answer> {
  return request(url, {
    method: 'POST',
    ...options,
    headers: { 'content-type': 'application/json', ...options.headers },
    body: JSON.stringify(body),
  });
}
