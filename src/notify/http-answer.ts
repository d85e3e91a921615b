// What an HTTP answer says, in words: services hide their reason in a field of JSON, a page of HTML, or a status alone. An
// administrator who reads "HTTP 401: {…" has to look up what each of them means by it.

import { formatSpan } from '../text/format.ts';
import { shorten } from '../text/shorten.ts';

const shownCharacters = 200;
/** Where services put their reason, the most telling first. */
const reasonFields = ['errorDescription', 'description', 'message', 'error', 'msg', 'detail'] as const;

/** The reason in an answer's text, on one line; empty: it says nothing. */
export function saidIn(text: string): string {
  return shorten(oneLine(reasonInJson(text) ?? reasonInHtml(text) ?? text), shownCharacters);
}

function reasonInJson(text: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  const fields = value as Readonly<Record<string, unknown>>;
  const found = reasonFields.map((name) => fields[name]).find((one) => typeof one === 'string' && one !== '');
  return typeof found === 'string' ? found : undefined;
}

/** Whether a text is a page for people: a proxy's, a firewall's, a login's. The media type does not tell: `OK` is often called HTML. */
export function isPage(text: string): boolean {
  return /^(?:\s|<\?xml[^>]*>|<!--[^]*?-->)*<(?:!doctype html|html|head|body)\b/i.test(text);
}

function reasonInHtml(text: string): string | undefined {
  if (!isPage(text)) return undefined;
  const heading = /<(title|h1)\b[^>]*>([^]*?)<\/\1>/i.exec(text)?.[2] ?? '';
  return heading.replaceAll(/<[^>]*>/g, ' ');
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** What a status other than 2xx means for a message, with what the service said about it. */
export function explainStatus({ status, headers }: Pick<Response, 'status' | 'headers'>, said: string): string {
  const reason = said === '' ? '' : `: ${said}`;
  // 'Unauthorized' and its like say it all.
  const meaning = status === 401 && said !== '' ? null : meaningOf(status, headers);
  return `HTTP ${status}${reason}${meaning === null ? '' : ` (${meaning})`}`;
}

function meaningOf(status: number, headers: Headers): string | null {
  if (status >= 300 && status < 400) {
    const host = hostOf(headers.get('location'));
    return `it redirects${host === null ? '' : ` to ${host}`}, which is not followed; set the address it leads to`;
  }
  switch (status) {
    case 401:
      return 'the token or password is refused';
    case 403:
      return 'it may not write there';
    case 404:
      return 'there is nothing at this address: it is mistyped, or was deleted there';
    case 405:
      return 'the address takes no messages';
    case 410:
      return 'it was deleted there';
    case 413:
      return 'the message is too large for it';
    case 429: {
      const waitMs = retryAfterMs(headers, '');
      return `too many messages${waitMs === null ? '' : `; it asks to wait ${formatSpan(waitMs)}`}`;
    }
    default:
      return status >= 500 ? 'the service, or a proxy before it, is in trouble' : null;
  }
}

// The host alone: the path may be a secret.
function hostOf(location: string | null): string | null {
  const url = location === null ? null : URL.parse(location);
  return url === null ? null : url.origin;
}

/** How long it asks to wait: the header in seconds or as a date, Telegram's and Discord's seconds, Matrix' milliseconds. */
export function retryAfterMs(headers: Headers, text: string, now: Date = new Date()): number | null {
  const header = headers.get('retry-after')?.trim() ?? '';
  if (/^\d+(?:\.\d+)?$/.test(header)) return Number(header) * 1_000;
  const date = header === '' ? Number.NaN : Date.parse(header);
  if (!Number.isNaN(date)) return Math.max(0, date - now.getTime());
  const milliseconds = /"retry_after_ms"\s*:\s*(\d+)/.exec(text)?.[1];
  if (milliseconds !== undefined) return Number(milliseconds);
  const seconds = /"retry_after"\s*:\s*([\d.]+)/.exec(text)?.[1];
  return seconds === undefined || !Number.isFinite(Number(seconds)) ? null : Number(seconds) * 1_000;
}
