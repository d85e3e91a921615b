// Whether an answer comes from an S3 store at all. A console's port, a proxy's login page or a captive portal answers everything
// with 200 and a page; taken for an answer it would say "no snapshots" on the day when they are needed.

import type { S3Client } from '@aws-sdk/client-s3';
import type { ErrorReason } from '../errors.ts';

/** What an answer is that is none of a store's: a page, a redirect elsewhere, TLS asked in plain text, or anything else. */
type Kind = 'page' | 'robot' | 'redirect' | 'plain-on-tls' | 'proxy-login' | 'proxy-limit' | 'unknown';

/** An answer of something that is no S3 store. It is not tried again: it would be the same. */
export class ForeignAnswer extends Error {
  override readonly name = 'ForeignAnswer';
  readonly says: string;
  readonly hint: string;
  readonly reason: ErrorReason;
  readonly $metadata: { readonly httpStatusCode?: number };

  constructor({ status, kind, to }: { readonly status: number | null; readonly kind: Kind; readonly to?: string }) {
    const answered = status === null ? 'something' : `status ${status}`;
    const { says, hint } = words(kind, { answered, to });
    super(says);
    this.says = says;
    this.hint = hint;
    this.reason = 'misconfigured';
    this.$metadata = status === null ? {} : { httpStatusCode: status };
  }
}

function words(
  kind: Kind,
  { answered, to }: { readonly answered: string; readonly to: string | undefined },
): { readonly says: string; readonly hint: string } {
  switch (kind) {
    case 'redirect':
      return {
        says: `what answers at the endpoint sends elsewhere (${answered}${to === undefined ? '' : ` to ${to}`})`,
        hint:
          to?.startsWith('https:') === true
            ? 'Check BACKUP_S3_ENDPOINT: it may have to begin with https://, or a login page of the network stands before it.'
            : 'Check BACKUP_S3_ENDPOINT: a web server, a proxy or a login page of the network answers there.',
      };
    case 'plain-on-tls':
      return { says: `the endpoint speaks TLS (${answered})`, hint: 'Write BACKUP_S3_ENDPOINT with https://.' };
    case 'proxy-login':
      return {
        says: `a proxy asks for a login (${answered})`,
        hint: 'Put user and password into HTTPS_PROXY, or the endpoint into NO_PROXY.',
      };
    case 'proxy-limit':
      return {
        says: `a proxy in front of the store takes nothing so large (${answered})`,
        hint: 'Raise its limit (nginx: client_max_body_size 0), or have BACKUP_S3_ENDPOINT go past it: parts have 8 MiB and more.',
      };
    case 'robot':
      return {
        says: `Cloudflare in front of the store takes this machine for a robot (${answered})`,
        hint: "Set the store's name to 'DNS only' there, or let this machine's address through; BACKUP_S3_ENDPOINT may also go past it.",
      };
    case 'page':
      return {
        says: `a web page came instead of an answer (${answered})`,
        hint: "Check host and port of BACKUP_S3_ENDPOINT: a console, a firewall or a login page answers there, not the store's API.",
      };
    case 'unknown':
      return {
        says: `what came is no answer of an S3 store (${answered})`,
        hint: "Check host and port of BACKUP_S3_ENDPOINT: it must be the store's S3 API, not its console or another service.",
      };
    default:
      return kind satisfies never;
  }
}

interface Answer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** What a bucket is asked; only another address answers that there is none, and not in a store's words. */
const neverMissing = ['ListObjectsV2Command', 'PutObjectCommand', 'CreateMultipartUploadCommand'];

/** The longest beginning of a page that is looked at, in bytes. */
const mostRead = 4_096;

/** Has every answer that is none of an S3 store's end in ForeignAnswer. */
export function refuseForeignAnswers(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args);
        const foreign = await judge(result.response as Answer, String(commandName));
        if (foreign !== null) throw foreign;
        return result;
      },
    // Before anything is made of it.
    { step: 'deserialize', name: 'refuseForeignAnswers', priority: 'low' },
  );
}

async function judge(answer: Answer, command: string): Promise<ForeignAnswer | null> {
  const { statusCode: status, headers } = answer;
  const type = headers['content-type'] ?? '';
  const isPage = /html/i.test(type);
  // A store's own redirect says so in XML, or names the region.
  const isOwn = headers['x-amz-bucket-region'] !== undefined || /xml/i.test(type.replace(/xhtml\+xml/i, ''));
  if (status >= 300 && status < 400 && status !== 304 && !isOwn)
    return new ForeignAnswer({ status, kind: 'redirect', ...originOf(headers['location']) });
  if (status >= 300 && status < 400) return null;
  if (status === 407) return new ForeignAnswer({ status, kind: 'proxy-login' });
  // What fails on the other side may pass: that is tried again, whatever page it comes with.
  if (status >= 500 || status === 429) return null;
  if (status >= 400) {
    // The answer to HEAD has no words; the store is asked again for some.
    if (command === 'HeadObjectCommand' || command === 'HeadBucketCommand' || isOwn) return null;
    if (status === 426) return new ForeignAnswer({ status, kind: 'plain-on-tls' });
    if (status === 404 && neverMissing.includes(command))
      return new ForeignAnswer({ status, kind: isPage ? 'page' : 'unknown' });
    if (!isPage && !/text\/plain/i.test(type)) return null;
    const text = await beginningOf(answer.body);
    if (status === 413) return new ForeignAnswer({ status, kind: 'proxy-limit' });
    if (/https? (?:request|port)|sent to https|plain http to an ssl/i.test(text) && status === 400)
      return new ForeignAnswer({ status, kind: 'plain-on-tls' });
    if (!isPage) return null;
    return new ForeignAnswer({ status, kind: status === 403 && headers['server'] === 'cloudflare' ? 'robot' : 'page' });
  }
  if (isPage) return new ForeignAnswer({ status, kind: 'page' });
  const isObject = command === 'GetObjectCommand' || command === 'HeadObjectCommand';
  // Every store has one of them for an object.
  const isKnown = headers['etag'] !== undefined || headers['last-modified'] !== undefined;
  return isObject && !isKnown ? new ForeignAnswer({ status, kind: 'unknown' }) : null;
}

// Where it sends, without what may be in the path: a portal puts tokens there.
function originOf(location: string | undefined): { readonly to?: string } {
  try {
    return location === undefined ? {} : { to: new URL(location).origin };
  } catch {
    return {};
  }
}

async function beginningOf(body: unknown): Promise<string> {
  let text = '';
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return text;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    text += Buffer.from(chunk).toString('latin1');
    if (text.length > mostRead) break;
  }
  return text;
}
