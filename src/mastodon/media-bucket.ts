// Refuses to store backups in the bucket that serves Mastodon's media: everybody on the internet can read that one.

import type { Environment } from '../config/environment.ts';
import type { SettingProblem } from '../config/problem.ts';
import type { S3Settings } from '../config/settings.ts';

/** The problem when the backup bucket is Mastodon's media bucket (`S3_BUCKET` on the same endpoint), else none. */
export function findMediaBucketProblem(environment: Environment, s3: S3Settings | null): SettingProblem | undefined {
  if (s3 === null) return undefined;
  const mediaBucket = environment.get('S3_BUCKET')?.text;
  if (mediaBucket === undefined || mediaBucket.toLowerCase() !== s3.bucket.toLowerCase()) return undefined;
  const media = mediaHost(environment, mediaBucket);
  const ours = s3.endpoint === null ? awsHost(s3.region) : hostOf(s3.endpoint);
  const bothAws = isAws(media) && isAws(ours); // names are unique over all of AWS, whatever the region's host
  const withoutBucket = (host: string): string =>
    host.startsWith(`${mediaBucket}.`) ? host.slice(mediaBucket.length + 1) : host;
  if (!bothAws && withoutBucket(media) !== withoutBucket(ours)) return undefined;
  return {
    variable: 'BACKUP_S3_BUCKET',
    shown: s3.bucket,
    problem: "this is Mastodon's media bucket (S3_BUCKET), and that bucket is public",
    remedy: 'Make a bucket of its own for backups, without public access',
  };
}

// As Mastodon's config/initializers/paperclip.rb finds its endpoint.
function mediaHost(environment: Environment, bucket: string): string {
  const endpoint = environment.get('S3_ENDPOINT')?.text;
  if (endpoint !== undefined) return hostOf(endpoint);
  const region = environment.get('S3_REGION')?.text ?? 'us-east-1';
  const hostname = environment.get('S3_HOSTNAME')?.text;
  return hostname === undefined || hostname.startsWith(`${bucket}.`) ? awsHost(region) : hostOf(hostname);
}

function hostOf(address: string): string {
  const url = URL.parse(address.includes('://') ? address : `https://${address}`);
  return url === null ? address.toLowerCase() : url.host;
}

function awsHost(region: string): string {
  return `s3.${region}.amazonaws.com`;
}

function isAws(host: string): boolean {
  return /(^|\.)amazonaws\.com(\.cn)?$/.test(host);
}
