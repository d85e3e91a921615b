// A bucket's lifecycle rules as this program looks at them; S3 writes a rule's prefix in one of three places.

import type { LifecycleRule as S3Rule } from '@aws-sdk/client-s3';
import type { LifecycleRule } from './store.ts';

/** The rule in our own words. */
export function toLifecycleRule(rule: S3Rule): LifecycleRule {
  return {
    id: rule.ID ?? null,
    prefix: rule.Filter?.Prefix ?? rule.Filter?.And?.Prefix ?? rule.Prefix ?? '',
    enabled: rule.Status === 'Enabled',
    expireDays: rule.Expiration?.Days ?? null,
    abortIncompleteDays: rule.AbortIncompleteMultipartUpload?.DaysAfterInitiation ?? null,
  };
}
