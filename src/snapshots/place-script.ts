// The script that restores without this program, beside the folders of the tiers, where neither retention nor the sweep looks: who
// finds the backups finds how to read them. It is named after what is in it, and never written over.

import type { ObjectKey } from '../storage/store.ts';
import { markerName } from './place-marker.ts';
import type { Repository } from './repository.ts';

const scriptName = /^restore-[0-9a-f]{8}\.sh$/;

/** Whether an object below the prefix belongs to the place and not to a snapshot: its marker, or such a script. */
export function belongsToPlace(name: string): boolean {
  return name === markerName || scriptName.test(name);
}

/** Stores the script where it is not yet; answers whether it was stored. Rejects with AppError `store`. */
export async function leaveScript(
  { store, prefix }: Repository,
  { name, content, signal }: { readonly name: string; readonly content: string; readonly signal: AbortSignal },
): Promise<boolean> {
  if (!scriptName.test(name)) throw new Error(`'${name}' is no name of such a script`);
  const key = `${prefix}${name}` as ObjectKey;
  if ((await store.head(key, { signal })) !== null) return false;
  await store.putDocument(key, Buffer.from(content), { signal });
  return true;
}
