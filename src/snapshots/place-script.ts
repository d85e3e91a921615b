// The script that restores without this program, beside the folders of the tiers, where neither retention nor the sweep looks: who
// finds the backups finds how to read them. It is named after what is in it, and never written over.

import { createHash } from 'node:crypto';
import type { ObjectKey } from '../storage/store.ts';
import { readAll } from './document-reading.ts';
import { markerName } from './place-marker.ts';
import type { Repository } from './repository.ts';

const scriptName = /^restore-[0-9a-f]{8}\.sh$/;

/** Whether an object below the prefix belongs to the place and not to a snapshot: its marker, or such a script. */
export function belongsToPlace(name: string): boolean {
  return name === markerName || scriptName.test(name);
}

/** What stands under the script's name: it was stored now, it was there, or it is another one. */
export type LeftScript =
  | { readonly kind: 'stored' }
  | { readonly kind: 'there' }
  | { readonly kind: 'other'; readonly key: ObjectKey; readonly sha256: string };

/**
 * Stores the script where it is not yet. What is there is read: who may write the place may have changed what somebody will run as root.
 * Rejects with AppError `store`.
 */
export async function leaveScript(
  { store, prefix }: Repository,
  { name, content, signal }: { readonly name: string; readonly content: string; readonly signal: AbortSignal },
): Promise<LeftScript> {
  if (!scriptName.test(name)) throw new Error(`'${name}' is no name of such a script`);
  const key = `${prefix}${name}` as ObjectKey;
  if ((await store.head(key, { signal })) === null) {
    await store.putDocument(key, Buffer.from(content), { signal });
    return { kind: 'stored' };
  }
  const found = await readAll(await store.get(key, { signal }));
  if (found.equals(Buffer.from(content))) return { kind: 'there' };
  return { kind: 'other', key, sha256: createHash('sha256').update(found).digest('hex') };
}
