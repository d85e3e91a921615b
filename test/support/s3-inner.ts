// The S3 server of the tests, with what it lacks: it takes uploads in parts and cannot list those that nobody has ended. Without
// that list a test that looks for unfinished uploads would find none, whatever was left.

import { buildApp } from 'fauxqs';

/** A running server. */
export interface InnerS3 {
  readonly port: number;
  stop(): Promise<void>;
}

interface Upload {
  readonly key: string;
  readonly uploadId: string;
  readonly startedAt: string;
}

/** Starts it, without a bucket. */
export async function startInnerS3(): Promise<InnerS3> {
  const app = buildApp({ logger: false });
  const uploads = new Map<string, Upload>();
  app.addHook('onRequest', async ({ method, url }, reply) => {
    const { pathname, searchParams } = new URL(url, 'http://s3');
    const bucket = /^\/([^/]+)\/?$/.exec(pathname)?.[1];
    if (method !== 'GET' || bucket === undefined || !searchParams.has('uploads')) return;
    const prefix = searchParams.get('prefix') ?? '';
    const found = [...uploads.values()].filter(({ key }) => key.startsWith(`${bucket}/${prefix}`));
    await reply.header('content-type', 'application/xml').send(listing(bucket, found));
  });
  app.addHook('onSend', async ({ method, url }, { statusCode }, payload) => {
    const { pathname, searchParams } = new URL(url, 'http://s3');
    if (statusCode >= 300) return payload;
    const uploadId = searchParams.get('uploadId');
    if (uploadId !== null && ['DELETE', 'POST'].includes(method)) uploads.delete(uploadId);
    if (method === 'POST' && searchParams.has('uploads')) {
      const named = /<UploadId>([^<]+)</.exec(String(payload))?.[1];
      const key = decodeURIComponent(pathname.slice(1));
      const startedAt = new Date().toISOString();
      if (named !== undefined) uploads.set(named, { key, uploadId: named, startedAt });
    }
    return payload;
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const address = app.server.address();
  if (address === null || typeof address === 'string') throw new Error('The S3 server has no port');
  return { port: address.port, stop: async () => app.close() };
}

// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html, on one page.
function listing(bucket: string, uploads: readonly Upload[]): string {
  const entries = uploads.map(
    ({ key, uploadId, startedAt }) =>
      `<Upload><Key>${escaped(key.slice(bucket.length + 1))}</Key><UploadId>${escaped(uploadId)}</UploadId><Initiated>${startedAt}</Initiated></Upload>`,
  );
  return `<?xml version="1.0" encoding="UTF-8"?><ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>${bucket}</Bucket><IsTruncated>false</IsTruncated>${entries.join('')}</ListMultipartUploadsResult>`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
