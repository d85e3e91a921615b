// Whether a destination can be reached, read, written and cleaned, whether the clocks agree, and what lies about in it.

import { randomBytes } from 'node:crypto';
import type { KeepRules } from '../config/settings.ts';
import { AppError } from '../errors.ts';
import { describeEarlyExpiry, findEarlyExpiry } from '../retention/lifecycle.ts';
import { folders } from '../schedule/tier.ts';
import { maxClockSkewMs, probeKey, removeProbe } from '../snapshots/deletion-law.ts';
import { readAll } from '../snapshots/document-reading.ts';
import type { Repository } from '../snapshots/repository.ts';
import { formatSpan } from '../text/format.ts';
import { plural } from '../text/table.ts';
import { fine, problem, type Finding } from './finding.ts';
import { askedOf } from './impatient-store.ts';
import { answerOf } from './silence.ts';

const dayMs = 86_400_000;
/** How long a store that did not answer may take to remove the probe, in milliseconds. */
const lastWordMs = 500;

/** All findings about a store that lets us in. */
export async function examineStore(
  { store, prefix }: Pick<Repository, 'store' | 'prefix'>,
  options: {
    readonly now: () => Date;
    readonly keep: KeepRules;
    /** BACKUP_S3_OBJECT_LOCK_DAYS; null: it is not set. */
    readonly objectLockDays: number | null;
    readonly signal: AbortSignal;
  },
): Promise<readonly Finding[]> {
  const checks: readonly (readonly [string, () => Promise<Finding | null>])[] = [
    [`${store.name} clock`, async () => examineClock(store, options)],
    [`${store.name} unfinished uploads`, async () => examineUnfinished(store, { prefix, ...options })],
    [`${store.name} lifecycle`, async () => examineLifecycle(store, { prefix, ...options })],
    [`${store.name} versions`, async () => examineVersions(store, { prefix, ...options })],
    [`${store.name} lock`, async () => examineLock(store, options)],
  ];
  const found = checks.map(async ([check, run]): Promise<readonly Finding[]> => {
    try {
      const finding = await run();
      return finding === null ? [] : [{ ...finding, check }];
    } catch (error) {
      return [{ ...problem(check, error), status: 'warning' }];
    }
  });
  return (await Promise.all(found)).flat();
}

type Store = Repository['store'];

/** Whether a probe can be written to it, read back and removed. */
export async function examineAccess(place: Repository, { signal }: { readonly signal: AbortSignal }): Promise<Finding> {
  const { store, prefix } = place;
  const key = probeKey({ prefix, random: randomBytes(8).toString('hex') });
  let failure: { readonly error: unknown } | undefined;
  try {
    const content = Buffer.from('mastodon-backup doctor\n');
    await store.putDocument(key, content, { signal });
    const back = await readAll(await store.get(key, { signal }));
    if (Buffer.compare(back, content) !== 0)
      throw new AppError('store', 'The probe object came back changed', {
        hint: 'Look at the store and at what stands before it, such as a proxy: what is written must come back as it was.',
      });
  } catch (error) {
    failure = { error };
  }
  try {
    // Whatever failed before: it may have been written. A time of its own: also who is interrupted takes the probe away.
    const isSilent = failure?.error instanceof AppError && failure.error.code === 'timeout';
    const signalOfItsOwn = isSilent ? AbortSignal.timeout(lastWordMs) : new AbortController().signal;
    await answerOf(askedOf(store), {
      signal: signalOfItsOwn,
      ask: async (limit) => removeProbe(place, { key, signal: limit }),
    });
    if (failure === undefined && (await store.head(key, { signal })) !== null)
      throw new AppError('store', 'The probe object could not be removed', {
        hint: 'Let this program delete there what it has written; in a bucket that is s3:DeleteObject.',
      });
  } catch (error) {
    failure ??= { error };
  }
  if (failure !== undefined) return problem(store.name, failure.error);
  return fine(store.name, `${store.description}: written, read and removed a probe`);
}

async function examineClock(
  store: Store,
  options: { readonly now: () => Date; readonly signal: AbortSignal },
): Promise<Finding | null> {
  const theirs = await store.now(options);
  if (theirs === null) return null;
  const skewMs = options.now().getTime() - theirs.getTime();
  const wrong = Math.abs(skewMs) > maxClockSkewMs;
  return {
    check: '',
    status: wrong ? 'problem' : 'ok',
    detail: `ours is ${formatSpan(Math.abs(skewMs))} ${skewMs < 0 ? 'behind' : 'ahead of'} the store's`,
    remedy: wrong
      ? 'Set the clock of the host (timedatectl set-ntp true); nothing is deleted while the clocks differ.'
      : null,
  };
}

async function examineUnfinished(
  store: Store,
  options: { readonly prefix: string; readonly now: () => Date; readonly signal: AbortSignal },
): Promise<Finding | null> {
  const old: string[] = [];
  for await (const upload of store.listUnfinished(options.prefix, options)) {
    if (options.now().getTime() - upload.startedAt.getTime() > dayMs) old.push(upload.key);
  }
  return {
    check: '',
    status: old.length === 0 ? 'ok' : 'warning',
    detail:
      old.length === 0
        ? 'none older than a day'
        : `${old.length} older than a day, first '${old[0]}': they cost storage`,
    remedy: old.length === 0 ? null : 'The next run removes those of this program; abort the others in the dashboard.',
  };
}

async function examineLifecycle(
  store: Store,
  options: { readonly prefix: string; readonly keep: KeepRules; readonly signal: AbortSignal },
): Promise<Finding | null> {
  if (!store.hasRules) return null;
  const rules = await store.lifecycleRules(options);
  if (rules === null) {
    return fine('', 'the token may not look at the bucket rules, which is fine');
  }
  const enabled = rules.filter((rule) => rule.enabled);
  const early = findEarlyExpiry(enabled, options).map(describeEarlyExpiry);
  if (early.length > 0) {
    return {
      check: '',
      status: 'problem',
      detail: early.join('; '),
      remedy:
        'Remove these rules in the dashboard, or set BACKUP_KEEP_… to what they keep: mastodon-backup lifecycle show.',
    };
  }
  const aborts = enabled.some((rule) => rule.abortIncompleteDays !== null);
  const expires = enabled.filter((rule) => rule.expireDays !== null);
  const detail = [
    aborts ? 'unfinished uploads are aborted' : 'no rule aborts unfinished uploads',
    ...expires.map((rule) => `'${rule.prefix}' expires after ${plural(rule.expireDays ?? 0, 'day')}`),
  ].join(', ');
  return {
    check: '',
    status: aborts ? 'ok' : 'warning',
    detail,
    remedy: aborts ? null : 'Have unfinished uploads aborted: mastodon-backup lifecycle apply.',
  };
}

// What retention deletes stays as an older version, unless a rule removes it.
async function examineVersions(
  store: Store,
  { prefix, signal }: { readonly prefix: string; readonly signal: AbortSignal },
): Promise<Finding | null> {
  const protection = await store.protection({ signal });
  if (protection?.versioning !== 'on') return null;
  const rules = await store.lifecycleRules({ signal });
  if (rules === null) {
    const detail =
      'the bucket keeps versions of what is deleted, and the token may not look whether a rule removes them';
    return { check: '', status: 'warning', detail, remedy: versionsRemedy };
  }
  const missing = folders.filter(
    (tier) =>
      !rules.some(
        (rule) => rule.enabled && rule.noncurrentDays !== undefined && `${prefix}${tier}/`.startsWith(rule.prefix),
      ),
  );
  if (missing.length === 0)
    return { check: '', status: 'ok', detail: 'older versions of what is deleted are removed by a rule', remedy: null };
  const detail = `the bucket keeps versions: what is deleted in ${missing.join(', ')} frees nothing`;
  return { check: '', status: 'warning', detail, remedy: versionsRemedy };
}

const versionsRemedy =
  'Have noncurrent versions removed after some days: mastodon-backup lifecycle apply; or in the dashboard (NoncurrentVersionExpiration).';

async function examineLock(
  store: Store,
  { objectLockDays, signal }: { readonly objectLockDays: number | null; readonly signal: AbortSignal },
): Promise<Finding | null> {
  const protection = await store.protection({ signal });
  if (protection === null) return null;
  const days = plural(objectLockDays ?? 0, 'day');
  if (objectLockDays === null) {
    if (protection.lock !== 'on') return null;
    const detail =
      'the bucket has Object Lock; BACKUP_S3_OBJECT_LOCK_DAYS is not set, so it locks by its own rule alone';
    return { check: '', status: 'ok', detail, remedy: null };
  }
  switch (protection.lock) {
    case 'on':
      return { check: '', status: 'ok', detail: `nobody can delete a backup for ${days} (COMPLIANCE)`, remedy: null };
    case 'off': {
      const detail = `BACKUP_S3_OBJECT_LOCK_DAYS=${objectLockDays}, and the bucket has no Object Lock`;
      return { check: '', status: 'problem', detail, remedy: 'Make a bucket with Object Lock, or remove the setting.' };
    }
    case null: {
      const detail = 'the token may not look whether the bucket has Object Lock';
      return { check: '', status: 'warning', detail, remedy: 'Give it the right s3:GetBucketObjectLockConfiguration.' };
    }
    default:
      return protection.lock satisfies never;
  }
}
