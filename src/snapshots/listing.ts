// What a store lists of our folders, sorted by the grammar of keys. A folder that it does not list, or lists only in part, counts
// for nothing and is told: whoever took it for empty would back up over it, thin it out, or call an older snapshot the latest.

import { AppError, describeError, reasonOf, toAppError } from '../errors.ts';
import type { Folder } from '../schedule/tier.ts';
import type { ObjectKey, Obscured, StoredObject } from '../storage/store.ts';
import { formatMiB } from '../text/format.ts';
import { parseKey, type ParsedKey } from './object-keys.ts';
import type { Repository } from './repository.ts';

/** A folder of ours, or one in it, that the store does not list. */
export interface Unlisted {
  /** The tier's own folder or one below it, with its slash. */
  readonly key: string;
  readonly tier: Folder;
  /** Whether it is all of the tier. */
  readonly isTier: boolean;
  readonly reason: string;
}

/** An object of our grammar that is no manifest. */
export interface Orphan extends ParsedKey {
  readonly modifiedAt: Date;
}

/** A snapshot that a pin keeps out of retention. */
export interface Pinned {
  readonly tier: Folder;
  readonly id: string;
}

/** What is listed. */
export interface Listing {
  /** All but manifests, by key. */
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly manifests: readonly { readonly parsed: ParsedKey; readonly stored: StoredObject }[];
  /** What is in the place of a manifest and is no file. */
  readonly unreadable: readonly {
    readonly key: ObjectKey;
    readonly tier: Folder;
    readonly id: string;
    readonly reason: string;
    readonly cause: 'content' | 'refused';
  }[];
  /** Objects of our grammar that are neither manifests nor pins. */
  readonly others: readonly Orphan[];
  /** What is pinned, whether it is there or not. */
  readonly pinned: readonly Pinned[];
  readonly foreign: readonly StoredObject[];
  readonly unlisted: readonly Unlisted[];
  /** Why what is under these keys is no object. */
  readonly obscured: ReadonlyMap<string, string>;
}

/** All that a folder holds is held in memory: seven years of every hour, or somebody's flood. */
const mostObjects = 250_000;
/** What is held of all folders together, in bytes: names of 1 KiB in six of them would come to gigabytes. */
const mostHeldBytes = 128 * 1024 * 1024;
/** What an object takes besides its key, in bytes. */
const besideKeyBytes = 200;

/**
 * Lists these tiers, every page, or what belongs to one snapshot in them. Rejects with AppError `store` when the store lists none
 * of them.
 */
export async function listFolders(
  { store, prefix }: Repository,
  { tiers, id = '', signal }: { readonly tiers: readonly Folder[]; readonly id?: string; readonly signal: AbortSignal },
): Promise<Listing> {
  const listing = {
    objects: new Map<string, StoredObject>(),
    manifests: [] as Listing['manifests'][number][],
    unreadable: [] as Listing['unreadable'][number][],
    others: [] as Orphan[],
    pinned: [] as Pinned[],
    foreign: [] as StoredObject[],
    unlisted: [] as Unlisted[],
    obscured: new Map<string, string>(),
  };
  const failures: unknown[] = [];
  const add = (stored: StoredObject): void => {
    const parsed = parseKey(stored.key, { prefix });
    if (parsed?.part === 'manifest') listing.manifests.push({ parsed, stored });
    else listing.objects.set(stored.key, stored);
    if (parsed === undefined) listing.foreign.push(stored);
    else if (parsed.part === 'pin') listing.pinned.push({ tier: parsed.folder, id: parsed.id });
    else if (parsed.part !== 'manifest') listing.others.push({ ...parsed, modifiedAt: stored.modifiedAt });
  };
  const addObscured = ({ key, error }: Obscured, tier: Folder): void => {
    const reason = describeError(error);
    const parsed = parseKey(key, { prefix });
    if (key.endsWith('/')) {
      const isTier = key === `${prefix}${tier}/`;
      if (isTier) failures.push(error);
      listing.unlisted.push({ key, tier, isTier, reason });
    } else if (parsed?.part === 'pin') {
      // Whatever stands in the place of a pin: somebody may have meant one.
      listing.pinned.push({ tier, id: parsed.id });
    } else if (parsed?.part === 'manifest') {
      // What is no file is something else in its place; what may not be looked at is perhaps the same as ever.
      const cause = reasonOf(error) === 'unsupported' ? 'content' : 'refused';
      listing.unreadable.push({ key: parsed.key, tier, id: parsed.id, reason, cause });
    } else listing.obscured.set(key, reason);
  };
  const piles = tiers.map((tier) => ({ tier, ...createPile(`${prefix}${tier}/${id}`) }));
  // All at once: that a store does not answer is known when the first of them has lost its patience.
  await Promise.all(
    piles.map(async (pile) => {
      const { key, tier } = pile;
      try {
        const onObscured = (one: Obscured): void => addObscured(one, tier);
        for await (const stored of store.list(key, { signal, onObscured })) {
          addTo(pile, { stored, piles });
          if (pile.excess !== null) break;
        }
      } catch (error) {
        signal.throwIfAborted();
        const failure = toAppError(error, {
          code: 'store',
          message: `'${key}' could not be listed`,
          hint: 'Look what the destination says, with: mastodon-backup doctor.',
        });
        drop(pile, null);
        addObscured({ key, error: failure }, tier);
      }
    }),
  );
  for (const { key, tier, found, excess } of piles) {
    for (const stored of found) add(stored);
    if (excess === null) continue;
    const hint = 'Look at what is there, and move away what is not from this program.';
    addObscured({ key, error: new AppError('store', `'${key}' ${excess} in ${store.description}`, { hint }) }, tier);
  }
  if (tiers.length > 0 && failures.length === tiers.length) throw failures[0];
  return listing;
}

/** What is held of a folder while it is listed. */
interface Pile {
  readonly key: string;
  found: StoredObject[];
  heldBytes: number;
  /** Why nothing of it is held any more, as words that follow its key; null: it is. */
  excess: string | null;
}

function createPile(key: string): Pile {
  return { key, found: [], heldBytes: 0, excess: null };
}

// Where all of them together are too much the largest goes: a flood in one folder hides what is in no other.
function addTo(
  pile: Pile,
  { stored, piles }: { readonly stored: StoredObject; readonly piles: readonly Pile[] },
): void {
  if (pile.found.length === mostObjects) drop(pile, `holds more than ${mostObjects} objects`);
  if (pile.excess !== null) return;
  pile.found.push(stored);
  // A key with one character beyond Latin takes two bytes for each.
  pile.heldBytes += 2 * stored.key.length + besideKeyBytes;
  if (piles.reduce((sum, { heldBytes }) => sum + heldBytes, 0) <= mostHeldBytes) return;
  const [largest = pile] = piles.toSorted((a, b) => b.heldBytes - a.heldBytes);
  drop(largest, `holds more than can be listed, ${formatMiB(mostHeldBytes)} of names of all folders together,`);
}

function drop(pile: Pile, excess: string | null): void {
  pile.found = [];
  pile.heldBytes = 0;
  pile.excess = excess;
}
