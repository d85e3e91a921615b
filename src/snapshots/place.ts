// Whether a place is the one that was known: by what it holds, and where it holds nothing of that, by its marker. A pure function;
// what it is not sure about it calls strange, for a backup in the wrong place is one that nobody finds when it is needed.

import { describeError } from '../errors.ts';
import { plural } from '../text/table.ts';
import { markerName } from './place-marker.ts';

/** What is remembered of a place. */
export interface KnownPlace {
  /** Its marker's id; null: it had none when it was last looked at. */
  readonly id: string | null;
  /** `<tier>/<id>` of all that it was known to hold. */
  readonly snapshots: readonly string[];
}

/** The marker as it was found; null: there is none. */
export type FoundMarker = { readonly id: string | null } | { readonly error: unknown };

/** How a place stands to what is remembered of it. */
export type PlaceStanding =
  /** `id` null: it has yet to be marked; `marked`: whether the marker is there. */
  | { readonly kind: 'known'; readonly id: string | null; readonly marked: boolean }
  /** What speaks against it, as the end of a sentence. */
  | { readonly kind: 'strange'; readonly reason: string };

/** Judges a place; `remembered` null: nothing is, and any place will do. */
export function judgePlace(
  found: FoundMarker,
  { remembered, isThere }: { readonly remembered: KnownPlace | null; readonly isThere: (snapshot: string) => boolean },
): PlaceStanding {
  const read = 'error' in found ? null : found.id;
  // One that cannot be read is not written over.
  const marked = 'error' in found || found.id !== null;
  if (remembered === null) return { kind: 'known', id: read, marked };
  const { id, snapshots } = remembered;
  if (snapshots.some(isThere)) return { kind: 'known', id: read ?? id, marked };
  if (read !== null && read === id) return { kind: 'known', id, marked };
  const lacks =
    snapshots.length === 0
      ? null
      : snapshots.length === 1
        ? 'the snapshot that it was known to hold is not there'
        : `none of the ${plural(snapshots.length, 'snapshot')} that it was known to hold is there`;
  // Where nothing was known to be, any marker of ours will do: two that began here at the same time may each have written one.
  if (lacks === null && (id === null || read !== null)) return { kind: 'known', id: read, marked };
  const spoken =
    'error' in found
      ? `its file ${markerName} cannot be read (${describeError(found.error)})`
      : id === null
        ? null
        : read === null
          ? `its file ${markerName} is missing`
          : `its file ${markerName} is that of another place`;
  return { kind: 'strange', reason: [lacks, spoken].filter((part) => part !== null).join(', and ') };
}
