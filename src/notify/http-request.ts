// One HTTP request of a channel: answers other than 2xx are failures, redirects are not followed (they would carry a secret
// address elsewhere), and no more than a few KiB of an answer are read.

import { DeliveryError } from './channel.ts';

const largestAnswerBytes = 64 * 1024;
const shownCharacters = 200;

/** Sends it. Rejects with `DeliveryError`, whose text never has the address. */
export async function request(
  url: string,
  options: {
    readonly method: 'GET' | 'POST';
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  let response: Response;
  try {
    response = await fetch(url, { ...options, redirect: 'manual' });
  } catch (error) {
    options.signal.throwIfAborted();
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new DeliveryError(cause instanceof Error ? cause.message : String(cause), { retryable: true });
  }
  const answer = await readStart(response);
  if (response.ok) return;
  const { status } = response;
  const said = answer.replaceAll(/\s+/g, ' ').trim().slice(0, shownCharacters);
  throw new DeliveryError(`HTTP ${status}${said === '' ? '' : `: ${said}`}`, {
    retryable: status === 408 || status === 429 || status >= 500,
    retryAfterMs: status === 429 ? retryAfter(response, answer) : null,
  });
}

async function readStart(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (reader === undefined) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < largestAnswerBytes) {
    const { done, value } = (await reader.read()) as { readonly done: boolean; readonly value?: Uint8Array };
    if (done || value === undefined) break;
    chunks.push(value);
    bytes += value.length;
  }
  await reader.cancel();
  return Buffer.concat(chunks).toString('utf8');
}

// The header in seconds, as HTTP has it, or Telegram's and Discord's own field.
function retryAfter(response: Response, answer: string): number | null {
  const field = /"retry_after"\s*:\s*([\d.]+)/.exec(answer)?.[1];
  const seconds = Number(response.headers.get('retry-after') ?? field ?? Number.NaN);
  return Number.isFinite(seconds) ? seconds * 1_000 : null;
}

/** A request with a JSON body. */
export async function postJson(
  url: string,
  {
    body,
    signal,
    headers = {},
  }: { readonly body: unknown; readonly signal: AbortSignal; readonly headers?: Readonly<Record<string, string>> },
): Promise<void> {
  await request(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal,
  });
}

/** A text of at most `limit` characters, with a sign at its end when it was cut. */
export function shorten(text: string, limit: number): string {
  if (text.length <= limit) return text;
  // Not between the two halves of one character.
  return `${text.slice(0, limit - 1).replace(/[\uD800-\uDBFF]$/, '')}…`;
}
