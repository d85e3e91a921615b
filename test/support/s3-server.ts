// An S3 server in this process, and in front of it a door that can hang, answer errors or drop connections: the ways real
// stores fail. What passes through is counted, so that a test can say what was sent.

import {
  createServer,
  request as forward,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import path from 'node:path';
import { Transform } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { Upload } from '@aws-sdk/lib-storage';
import { CreateBucketCommand, HeadObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { belongsToPlace } from '../../src/snapshots/place-script.ts';
import { createS3Store } from '../../src/storage/s3-store.ts';
import type { RemovableStore } from '../../src/storage/store.ts';
import { startInnerS3 } from './s3-inner.ts';

/** What the door does with a request. */
export type DoorAction =
  | { readonly kind: 'pass' }
  /** Reads the request and never answers. */
  | { readonly kind: 'hang' }
  /** Reads some bytes of the request and drops the connection. */
  | { readonly kind: 'drop' }
  /** Passes the answer on, but drops the connection after so many bytes of its body. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** Passes the answer on, and nothing more after so many bytes of its body. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  /** Passes the answer on with these headers instead of its own. */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string>> }
  /** Passes the request on without this header. */
  | { readonly kind: 'without'; readonly header: string }
  /** Passes the request on with these parameters of its address instead of its own. */
  | { readonly kind: 'query'; readonly query: Readonly<Record<string, string>> }
  | { readonly kind: 'answer'; readonly status: number; readonly code: string }
  /** Has the deed done, and drops the connection instead of answering. */
  | { readonly kind: 'lose' }
  /** Passes request and answer on, so many bytes at a time with pauses in between. */
  | { readonly kind: 'trickle'; readonly chunkBytes: number; readonly pauseMs: number }
  /** Passes the request on with one bit of its body flipped, so far into it. */
  | { readonly kind: 'flip'; readonly atShare: number }
  /** Answers itself, whatever the server would have said. */
  | { readonly kind: 'reply'; readonly status: number; readonly body: string }
  /** Passes the answer on with another text in its place. */
  | { readonly kind: 'rewrite'; readonly change: (text: string) => string };

/** A request as rules see it. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
}

/** A running server. */
export interface S3TestServer extends AsyncDisposable {
  readonly endpoint: string;
  readonly bucket: string;
  /** Everything that came to the door. */
  readonly seen: SeenRequest[];
  /** How many connections were made to the door. */
  connections(): number;
  /** Sets the rule; the default passes everything. */
  rule(decide: (request: SeenRequest) => DoorAction): void;
  /** The settings of the bucket as environment variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** A store on the bucket, behind the door. */
  storeBehindDoor(options?: { readonly objectLockDays?: number }): RemovableStore;
  /** A store on the bucket, behind no door. */
  store(options?: { readonly pageSize?: number; readonly prefix?: string }): RemovableStore;
  /** Puts an object in the place of another one, which our stores never do. */
  overwrite(key: string, content: Uint8Array): Promise<void>;
  /** The media type of an object. */
  contentType(key: string): Promise<string | undefined>;
  /** All keys in the bucket but those of the place's marker and script, which every bucket with a backup has. */
  keys(): Promise<readonly string[]>;
  /** The keys of all unfinished uploads. */
  unfinishedUploads(): Promise<readonly string[]>;
}

/** Starts a server with one empty bucket. */
export async function startS3(): Promise<S3TestServer> {
  const inner = await startInnerS3();
  const bucket = 'backups';
  const innerEndpoint = `http://127.0.0.1:${inner.port}`;
  const admin = new S3Client({
    endpoint: innerEndpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  await admin.send(new CreateBucketCommand({ Bucket: bucket }));
  let decide: (request: SeenRequest) => DoorAction = () => ({ kind: 'pass' });
  const seen: SeenRequest[] = [];
  const door = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '/', 'http://door');
    const request = {
      method: incoming.method ?? 'GET',
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
    };
    seen.push(request);
    answer(decide(request), { incoming, outgoing, port: inner.port });
  });
  await new Promise<void>((resolve) => {
    door.listen(0, '127.0.0.1', resolve);
  });
  const address = door.address();
  if (address === null || typeof address === 'string') throw new Error('The door has no port');
  const endpoint = `http://127.0.0.1:${address.port}`;
  const stores: RemovableStore[] = [];
  let connections = 0;
  door.on('connection', () => {
    connections += 1;
  });
  const storeAt = (
    at: string,
    { objectLockDays, ...options }: { readonly pageSize?: number; readonly objectLockDays?: number } = {},
  ): RemovableStore => {
    const made = createS3Store(
      {
        bucket,
        accessKeyId: 'test',
        secretAccessKey: 'test',
        endpoint: at,
        region: 'us-east-1',
        prefix: '',
        concurrency: 4,
        profile: 'other',
        ...(objectLockDays === undefined ? {} : { objectLockDays }),
      },
      options,
    );
    stores.push(made);
    return made;
  };
  // One for all who ask for nothing else: each has sockets that stay open. Nobody closes it for the others.
  const shared: RemovableStore = { ...storeAt(innerEndpoint), close: async () => undefined };
  const store = (options?: { readonly pageSize?: number }): RemovableStore =>
    options === undefined ? shared : storeAt(innerEndpoint, options);
  return {
    endpoint,
    bucket,
    seen,
    rule(next) {
      decide = next;
    },
    environment: {
      BACKUP_S3_ENDPOINT: endpoint,
      BACKUP_S3_BUCKET: bucket,
      BACKUP_S3_ACCESS_KEY_ID: 'test-key-id',
      BACKUP_S3_SECRET_ACCESS_KEY: 'test-secret-key',
    },
    connections: () => connections,
    storeBehindDoor: (options) => storeAt(endpoint, options),
    store,
    async contentType(key) {
      return (await admin.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))).ContentType;
    },
    async overwrite(key, content) {
      // In parts where it is large: the server takes 11 MiB at once.
      await new Upload({ client: admin, params: { Bucket: bucket, Key: key, Body: content } }).done();
    },
    async keys() {
      const keys: string[] = [];
      for await (const { key } of store().list('', { signal: AbortSignal.timeout(300_000) })) keys.push(key);
      return keys.filter((key) => !belongsToPlace(path.posix.basename(key)));
    },
    async unfinishedUploads() {
      const keys: string[] = [];
      for await (const { key } of store().listUnfinished('', { signal: AbortSignal.timeout(300_000) })) keys.push(key);
      return keys;
    },
    async [Symbol.asyncDispose]() {
      admin.destroy();
      for (const made of stores) await made.close();
      door.closeAllConnections();
      await new Promise((resolve) => door.close(resolve));
      await inner.stop();
    },
  };
}

function answer(
  action: DoorAction,
  {
    incoming,
    outgoing,
    port,
  }: { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse; readonly port: number },
): void {
  switch (action.kind) {
    case 'hang':
      incoming.resume();
      return;
    case 'drop':
      incoming.once('data', () => incoming.socket.destroy());
      incoming.once('end', () => incoming.socket.destroy());
      return;
    case 'answer':
      incoming.resume();
      incoming.once('end', () => {
        outgoing.writeHead(action.status, { 'content-type': 'application/xml' });
        outgoing.end(
          incoming.method === 'HEAD'
            ? undefined
            : `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${action.code}</Code><Message>said the door</Message></Error>`,
        );
      });
      return;
    case 'reply':
      incoming.resume();
      incoming.once('end', () => {
        outgoing.writeHead(action.status, { 'content-type': 'application/xml' });
        outgoing.end(incoming.method === 'HEAD' ? undefined : action.body);
      });
      return;
    case 'pass':
    case 'without':
    case 'query':
    case 'headers':
    case 'lose':
    case 'trickle':
    case 'flip':
    case 'rewrite':
    case 'stall':
    case 'cut': {
      const { method } = incoming;
      const url = action.kind === 'query' ? withQuery(incoming.url ?? '/', action.query) : incoming.url;
      const leftOut = action.kind === 'without' ? action.header : undefined;
      const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => name !== leftOut));
      const inner = forward({ host: '127.0.0.1', port, method, path: url, headers }, (response) => {
        if (action.kind === 'lose') {
          response.resume();
          response.once('close', () => outgoing.socket?.destroy());
          return;
        }
        if (action.kind === 'rewrite') {
          rewritten(response, { outgoing, change: action.change });
          return;
        }
        const changed = action.kind === 'headers' ? action.headers : {};
        // Whether the inner connection is kept is none of the outer one's business.
        const { connection: _connection, 'keep-alive': _keepAlive, ...passed } = response.headers;
        outgoing.writeHead(response.statusCode ?? 500, { ...passed, ...changed });
        if (action.kind === 'trickle') {
          response.pipe(trickling(action)).pipe(outgoing);
          return;
        }
        let left = 'afterBytes' in action ? action.afterBytes : Number.POSITIVE_INFINITY;
        response.on('data', (chunk: Buffer) => {
          outgoing.write(chunk.subarray(0, Math.max(0, left)));
          left -= chunk.length;
          if (left <= 0 && action.kind === 'cut') outgoing.socket?.destroy();
        });
        response.on('end', () => {
          if (action.kind !== 'stall') outgoing.end();
        });
      });
      inner.on('error', () => outgoing.socket?.destroy());
      if (action.kind === 'trickle') incoming.pipe(trickling(action)).pipe(inner);
      else if (action.kind === 'flip') incoming.pipe(flipping(incoming, action)).pipe(inner);
      else incoming.pipe(inner);
      return;
    }
    default:
      action satisfies never;
  }
}

function withQuery(address: string, query: Readonly<Record<string, string>>): string {
  const url = new URL(address, 'http://door');
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return `${url.pathname}${url.search}`;
}

function rewritten(
  response: IncomingMessage,
  { outgoing, change }: { readonly outgoing: ServerResponse; readonly change: (text: string) => string },
): void {
  const chunks: Buffer[] = [];
  response.on('data', (chunk: Buffer) => chunks.push(chunk));
  response.once('end', () => {
    const body = Buffer.from(change(Buffer.concat(chunks).toString('utf8')));
    const {
      connection: _connection,
      'keep-alive': _keepAlive,
      'transfer-encoding': _encoding,
      ...passed
    } = response.headers;
    outgoing.writeHead(response.statusCode ?? 500, { ...passed, 'content-length': String(body.length) });
    outgoing.end(outgoing.req.method === 'HEAD' ? undefined : body);
  });
}

function flipping({ headers }: IncomingMessage, { atShare }: { readonly atShare: number }): Transform {
  const target = Math.floor(atShare * Number(headers['content-length'] ?? 0));
  let at = 0;
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      const changed = Buffer.from(chunk);
      const offset = target - at;
      if (offset >= 0 && offset < changed.length) changed.writeUInt8(changed.readUInt8(offset) ^ 4, offset);
      at += chunk.length;
      callback(null, changed);
    },
  });
}

function trickling({ chunkBytes, pauseMs }: { readonly chunkBytes: number; readonly pauseMs: number }): Transform {
  return new Transform({
    async transform(chunk: Buffer, _encoding, callback) {
      for (let at = 0; at < chunk.length; at += chunkBytes) {
        this.push(chunk.subarray(at, at + chunkBytes));
        await sleep(pauseMs);
      }
      callback();
    },
  });
}
