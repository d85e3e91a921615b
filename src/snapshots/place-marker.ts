// The file that says which place a place is: a random id, written once and never again. An empty folder where the NAS should
// be mounted looks like a new place, and would get backups that nobody finds; with the file it is known for what it is not.

import { randomBytes } from 'node:crypto';
import * as v from 'valibot';
import { AppError, reasonOf } from '../errors.ts';
import { decodeDocument, encodeDocument, record, text } from '../text/document.ts';
import type { ObjectKey } from '../storage/store.ts';
import { readAll } from './document-reading.ts';
import type { Repository } from './repository.ts';

/** The file's name; it lies beside the folders of the tiers, where neither retention nor the sweep looks. */
export const markerName = 'mastodon-backup.place';

const format = 1;
const marker = record({ id: v.pipe(text, v.regex(/^[0-9a-f]{32}$/, 'is no id')) });
const note = 'mastodon-backup knows by this file that this is the place it stores backups in; leave it here.';

/** A new id. */
export function createPlaceId(): string {
  return randomBytes(16).toString('hex');
}

/** The key of the marker. */
export function markerKey({ prefix }: Pick<Repository, 'prefix'>): ObjectKey {
  return `${prefix}${markerName}` as ObjectKey;
}

/** The id of a place; null: the store says that it has no marker. Rejects with AppError `store` when that cannot be told. */
export async function readMarker(repository: Repository, signal: AbortSignal): Promise<string | null> {
  const { store } = repository;
  const key = markerKey(repository);
  let content: Buffer;
  try {
    content = await readAll(await store.get(key, { signal }));
  } catch (error) {
    signal.throwIfAborted();
    // Whether it is missing is asked for itself: a refusal says as little as a bucket that is not there.
    const isMissing = ['not-found', 'access-denied'].includes(reasonOf(error) ?? '');
    if (isMissing && (await store.head(key, { signal })) === null) return null;
    throw error;
  }
  const decoded = decodeDocument(content, { schema: marker, format });
  if (decoded.kind === 'read') return decoded.document.id;
  throw new AppError('store', `'${key}' in ${store.description} cannot be read: ${decoded.reason}`, {
    reason: 'damaged-object',
    hint: 'Look who wrote it; if nobody knows, remove it.',
  });
}

/**
 * Marks a place with `id`, or answers the id of whoever was faster. Where a store does not heed `If-None-Match`,
 * two of us can write at the same time: what counts is what is read afterwards.
 */
export async function writeMarker(
  repository: Repository,
  { id, signal }: { readonly id: string; readonly signal: AbortSignal },
): Promise<string> {
  try {
    await repository.store.putDocument(markerKey(repository), encodeDocument({ format, id, note }), { signal });
  } catch (error) {
    if (reasonOf(error) !== 'exists') throw error;
  }
  return (await readMarker(repository, signal)) ?? id;
}
