// Refuses to store backups in the bucket that serves Mastodon's media: everybody on the internet can read that one.

import type { Environment } from '../config/environment.ts';
import type { SettingProblem } from '../config/problem.ts';
import type { S3Settings } from '../config/bucket.ts';
import { isQuoted } from './rails-value.ts';

/** The problem when the backup bucket is Mastodon's media bucket (`S3_BUCKET` on the same endpoint), else none. */
export function findMediaBucketProblem(environment: Environment, s3: S3Settings | null): SettingProblem | undefined {
  if (s3 === null) return undefined;
  const bucket = mastodonValue(environment, 'S3_BUCKET')?.toLowerCase();
  if (bucket === undefined || bucket !== s3.bucket.toLowerCase()) return undefined;
  const ours = withoutBucket(s3.endpoint === null ? awsHost(s3.region) : hostOf(s3.endpoint), bucket);
  const media = mediaHosts(environment).map((host) => withoutBucket(host, bucket));
  // Names are unique over all regions of AWS, whichever of its hosts is used.
  const same = media.some((host) => host === ours || (isAws(host) && isAws(ours)));
  if (!same) return undefined;
  return {
    variable: 'BACKUP_S3_BUCKET',
    shownValue: s3.bucket,
    problem: "this is Mastodon's media bucket (S3_BUCKET), and that bucket is public",
    remedy: 'Make a bucket of its own for backups, without public access',
  };
}

// As Mastodon's config/initializers/paperclip.rb has them: an endpoint wins, S3_HOSTNAME then only makes addresses for
// browsers, but where it is the same host the bucket is the same one too.
function mediaHosts(environment: Environment): readonly string[] {
  const named = ['S3_ENDPOINT', 'S3_HOSTNAME']
    .map((name) => mastodonValue(environment, name))
    .filter((value) => value !== undefined);
  if (named.length > 0) return named.map(hostOf);
  return [awsHost(mastodonValue(environment, 'S3_REGION') ?? 'us-east-1')];
}

function mastodonValue(environment: Environment, name: string): string | undefined {
  const text = environment.get(name)?.text.trim() ?? '';
  const value = isQuoted(text) ? text.slice(1, -1).trim() : text;
  return value === '' ? undefined : value;
}

// Host and port in lower case, without a scheme's own port, whether or not a scheme was written.
function hostOf(address: string): string {
  const url = URL.parse(address.includes('://') ? address : `https://${address}`);
  const host = url === null ? address.toLowerCase() : url.host.toLowerCase();
  return host.replace(/:(?:80|443)$/, '').replace(/\.(?=:|$)/, '');
}

// `bucket.host` and `host/bucket` are the same place.
function withoutBucket(host: string, bucket: string): string {
  return host.startsWith(`${bucket}.`) ? host.slice(bucket.length + 1) : host;
}

function awsHost(region: string): string {
  return `s3.${region}.amazonaws.com`;
}

function isAws(host: string): boolean {
  return /(?:^|\.)amazonaws\.com(?:\.cn)?(?::|$)/.test(host);
}
