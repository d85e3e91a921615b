// A real S3 server that the environment names, for tests that show what no server in this process can. Nothing names one on
// an ordinary machine, and those tests are not run there.

import type { S3Settings } from '../../src/config/bucket.ts';

/** TEST_S3_ENDPOINT, TEST_S3_BUCKET and the two keys as a store's settings; undefined when no server is named. */
export function realS3(): (S3Settings & { readonly endpoint: string }) | undefined {
  const { TEST_S3_ENDPOINT: endpoint, TEST_S3_BUCKET: bucket } = process.env;
  if (endpoint === undefined || bucket === undefined) return undefined;
  return {
    endpoint,
    bucket,
    region: 'us-east-1',
    accessKeyId: process.env['TEST_S3_ACCESS_KEY_ID'] ?? '',
    secretAccessKey: process.env['TEST_S3_SECRET_ACCESS_KEY'] ?? '',
    prefix: '',
    concurrency: 4,
    profile: 'other',
  };
}

/**
 * How long a lifecycle day is on that server, in milliseconds, by TEST_S3_LIFECYCLE_DAY_SECONDS (Ceph: `rgw lc debug
 * interval`); undefined when its days are real ones.
 */
export function lifecycleDayMs(): number | undefined {
  const seconds = Number(process.env['TEST_S3_LIFECYCLE_DAY_SECONDS'] ?? Number.NaN);
  return Number.isNaN(seconds) ? undefined : seconds * 1_000;
}
