// A bucket's lifecycle rules: how this program looks at them, and how its own are put beside those of others, which are
// passed on exactly as they came.

import {
  GetBucketLifecycleConfigurationCommand,
  PutBucketLifecycleConfigurationCommand,
  type LifecycleRule as S3Rule,
  type S3Client,
} from '@aws-sdk/client-s3';
import { isNotFound } from './s3-errors.ts';
import type { BucketRule, LifecycleRule } from './store.ts';

interface Place {
  readonly client: S3Client;
  readonly bucket: string;
  readonly signal: AbortSignal;
}

/** The bucket's rules; none when it has no configuration. Rejects with the SDK's error. */
export async function readRules({ client, bucket, signal }: Place): Promise<readonly S3Rule[]> {
  try {
    const command = new GetBucketLifecycleConfigurationCommand({ Bucket: bucket });
    const { Rules } = await client.send(command, { abortSignal: signal });
    return Rules ?? [];
  } catch (error) {
    // 404 is "no rules".
    if (isNotFound(error)) return [];
    throw error;
  }
}

/** Replaces the rules whose id begins with `idPrefix`. */
export async function replaceRules(
  place: Place,
  { rules, idPrefix }: { readonly rules: readonly BucketRule[]; readonly idPrefix: string },
): Promise<void> {
  const others = (await readRules(place)).filter(({ ID }) => ID?.startsWith(idPrefix) !== true);
  const Rules = [...others, ...rules.map(toS3Rule)];
  const input = { Bucket: place.bucket, LifecycleConfiguration: { Rules } };
  await place.client.send(new PutBucketLifecycleConfigurationCommand(input), { abortSignal: place.signal });
}

function toS3Rule(rule: BucketRule): S3Rule {
  return {
    ID: rule.id,
    Status: 'Enabled',
    Filter: { Prefix: rule.prefix },
    ...(rule.expireDays === null ? {} : { Expiration: { Days: rule.expireDays } }),
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: rule.abortIncompleteDays },
    ...(rule.noncurrentDays === undefined
      ? {}
      : { NoncurrentVersionExpiration: { NoncurrentDays: rule.noncurrentDays } }),
  };
}

/** The rule in our own words; S3 writes a rule's prefix in one of three places. */
export function toLifecycleRule(rule: S3Rule): LifecycleRule {
  // Our objects have no tags, so a rule for a tag does not touch them.
  const noncurrentDays = rule.NoncurrentVersionExpiration?.NoncurrentDays;
  const forTags = rule.Filter?.Tag !== undefined || (rule.Filter?.And?.Tags ?? []).length > 0;
  return {
    id: rule.ID ?? null,
    prefix: rule.Filter?.Prefix ?? rule.Filter?.And?.Prefix ?? rule.Prefix ?? '',
    enabled: rule.Status === 'Enabled' && !forTags,
    expireDays: expiryDays(rule),
    abortIncompleteDays: rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation ?? null,
    ...(noncurrentDays === undefined ? {} : { noncurrentDays }),
  };
}

// A date in the rule deletes everything at once on that day.
function expiryDays({ Expiration }: S3Rule): number | null {
  if (Expiration?.Date !== undefined) return 0;
  return Expiration?.Days ?? null;
}
