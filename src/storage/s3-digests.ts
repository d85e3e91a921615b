// The MD5 of what is sent, beside it: buckets with Object Lock take nothing without a checksum, and the MD5 is the one that every S3
// knows, the oldest gateway too. What comes to harm on its way is refused at once instead of found out by reading back.

import { createHash } from 'node:crypto';
import type { S3Client } from '@aws-sdk/client-s3';

const commands = [
  'PutObjectCommand',
  'UploadPartCommand',
  'PutBucketLifecycleConfigurationCommand',
  'PutObjectRetentionCommand',
];

/** Has every body that is stored, and the bucket's rules, sent with a Content-MD5 (RFC 1864). */
export function sendDigests(client: S3Client): void {
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const request = args.request as { readonly body?: unknown; readonly headers: Record<string, string> };
        const { body } = request;
        if (commands.includes(String(commandName)) && (typeof body === 'string' || body instanceof Uint8Array))
          request.headers['content-md5'] = createHash('md5').update(body).digest('base64');
        return next(args);
      },
    // Before it is signed, and outside of the retries: once a part.
    { step: 'build', name: 'sendDigests', priority: 'low' },
  );
}
