// Which snapshot a person means. Everybody who asks for the latest one asks here, so that restore, drill, verify and the
// recovery kit never mean different ones, and each can say what newer one was passed over and why.

import { AppError } from '../errors.ts';
import { formatMoment } from '../text/moment.ts';
import { readMoment, type NamedTime } from '../text/moment-reader.ts';
import { withoutFuture } from '../schedule/due.ts';
import { plural } from '../text/table.ts';
import type { Catalogue } from './catalogue.ts';
import type { Unlisted } from './listing.ts';
import { dumpOf, snapshotName, type Manifest } from './manifest.ts';
import { describeObjection } from './origin.ts';
import { startOfId } from './object-keys.ts';
import { objectToEmptied, remarkOnSuccessor } from './successor.ts';

/** A snapshot that is newer than the chosen one, and why it is not the latest all the same. */
export interface PassedOver {
  /** `<tier>/<id>`. */
  readonly snapshot: string;
  readonly reason: string;
}

/** A tier that could not be listed. */
export type Unseen = Pick<Unlisted, 'tier' | 'reason'>;

/** What was chosen; nothing is passed over unless the latest was asked for. */
export interface Choice {
  readonly manifest: Manifest;
  readonly passedOver: readonly PassedOver[];
  /** Tiers that were meant and could not be listed, with the reason: the latest may be there. */
  readonly unseen: readonly Unseen[];
  /** What is worth saying of the one that was chosen; null: nothing. */
  readonly remark: string | null;
}

/** What a reason to pass a whole snapshot over is judged by. */
interface Circumstances {
  /** The whole snapshots of its instance that are older, of every tier, newest first. */
  readonly older: readonly Manifest[];
  readonly now: Date;
  readonly encryptedOnly: boolean;
}

/** Why a whole snapshot is never silently the latest; null: it may be. */
const objections: readonly ((manifest: Manifest, circumstances: Circumstances) => string | null)[] = [
  (manifest, { now }) => (withoutFuture([manifest], now).length === 0 ? 'it is dated in the future' : null),
  (manifest, { encryptedOnly }) => (encryptedOnly ? objectToPlaintext(manifest) : null),
  objectToEmptied,
];

/**
 * The latest snapshot of an instance: the newest that is whole and that nothing speaks against. Undefined: there is none.
 * @param options.tier null: of any tier.
 */
export function findLatest(
  catalogue: Pick<Catalogue, 'snapshots' | 'damaged' | 'unreadable' | 'unsigned' | 'unlisted'>,
  options: {
    readonly instance: string | undefined;
    readonly tier: string | null;
    readonly now: Date;
    /** Whether only what is encrypted is taken for a backup; see `wantsEncrypted`. */
    readonly encryptedOnly: boolean;
  },
): Omit<Choice, 'manifest'> & { readonly manifest: Manifest | undefined } {
  const { now, encryptedOnly } = options;
  const isMeant = ({ instance, tier }: Pick<Manifest, 'instance' | 'tier'>): boolean =>
    (options.instance === undefined || instance === options.instance) &&
    (options.tier === null || tier === options.tier);
  const whole = catalogue.snapshots.filter(isMeant);
  const olderOf = (snapshot: Manifest): readonly Manifest[] =>
    catalogue.snapshots.filter(({ instance, dataAt }) => instance === snapshot.instance && dataAt < snapshot.dataAt);
  const objected: { readonly manifest: Manifest; readonly reason: string }[] = [];
  // None behind the one that is found: there may be ten thousand, and each is held against all that are older.
  const found = whole.find((manifest) => {
    const circumstances = { older: olderOf(manifest), now, encryptedOnly };
    const reason = objections.map((object) => object(manifest, circumstances)).find((one) => one !== null);
    if (typeof reason === 'string') objected.push({ manifest, reason });
    return typeof reason !== 'string';
  });
  const passedOver = [
    ...objected,
    ...catalogue.damaged
      .filter(({ manifest }) => isMeant(manifest) && (found === undefined || manifest.dataAt > found.dataAt))
      .map(({ manifest, reason }) => ({ manifest, reason: `it is damaged: ${reason}` })),
    ...catalogue.unsigned
      .filter(({ manifest }) => isMeant(manifest) && (found === undefined || manifest.dataAt > found.dataAt))
      .map(({ manifest, objection }) => ({ manifest, reason: `it ${describeObjection(objection)}` })),
  ].map(({ manifest, reason }) => ({ snapshot: snapshotName(manifest), reason }));
  // Whose it is, a manifest that cannot be read does not tell; its id tells the second in which it was made. Of two of one second
  // neither is known to be the older.
  const unread = catalogue.unreadable.filter(
    ({ tier, id }) =>
      (options.tier === null || tier === options.tier) &&
      (found === undefined || id.slice(0, 17) >= found.id.slice(0, 17)),
  );
  return {
    manifest: found,
    unseen: catalogue.unlisted.filter(({ isTier, tier }) => isTier && (options.tier === null || tier === options.tier)),
    remark: found === undefined ? null : remarkOnSuccessor(found, { older: olderOf(found) }),
    passedOver: [
      ...passedOver,
      ...unread.map((one) => ({ snapshot: snapshotName(one), reason: `it cannot be read: ${one.reason}` })),
    ],
  };
}

/**
 * The snapshot that is meant by `latest`, `latest:<tier>`, an id, `<tier>/<id>`, or a date: the one nearest to it.
 * @throws AppError `no-snapshot`; `verify` when the named one is damaged; `usage` when several instances share the prefix and none is named, or when the named one is
 * nobody's who is trusted.
 */
export function chooseSnapshot(
  catalogue: Catalogue,
  options: {
    readonly text: string;
    readonly instance: string | undefined;
    /** The store, for people. */
    readonly place: string;
    readonly now: Date;
    /** As for `findLatest`. */
    readonly encryptedOnly: boolean;
    /** In which dates are read. */
    readonly timeZone?: string;
    /** The latest is sought among those whose data is older than this. */
    readonly before?: Date | undefined;
  },
): Choice {
  const { text, instance, place, before, timeZone = 'UTC' } = options;
  const instances = [...new Set(catalogue.snapshots.map((snapshot) => snapshot.instance))].toSorted();
  if (instance === undefined && instances.length > 1) {
    throw new AppError('usage', `Several instances are stored in ${place}: ${instances.join(', ')}`, {
      hint: 'Name one with --instance.',
    });
  }
  const [, tier = null] = /^latest:(.+)$/.exec(text) ?? [];
  if (text === 'latest' || tier !== null) {
    const { manifest, ...aside } = findLatest(olderThan(catalogue, before), { ...options, tier });
    if (manifest !== undefined) return { manifest, ...aside };
    const limit = before === undefined ? '' : ` with data from before ${formatMoment(before, timeZone)}`;
    throw noSnapshot(`There is no snapshot '${text}'${limit} in ${place}`, aside);
  }
  if (before !== undefined) {
    throw new AppError('usage', `A moment chooses among snapshots, and '${text}' is one already`, {
      hint: "Write 'latest' or 'latest:<tier>' with it, or leave --before out.",
    });
  }
  const nothing = { passedOver: [], unseen: [], remark: null };
  const isNamed = (one: { readonly tier: string; readonly id: string }): boolean =>
    one.id === text || snapshotName(one) === text;
  const own = catalogue.snapshots.filter((one) => instance === undefined || one.instance === instance);
  const manifest = own.find(isNamed);
  if (manifest !== undefined) return { manifest, ...nothing };
  const named = readMoment(text, timeZone);
  if (named !== undefined) return nearest(own, { ...options, named, timeZone });
  const damaged = catalogue.damaged.find((one) => isNamed(one.manifest));
  if (damaged !== undefined)
    throw new AppError('verify', `The snapshot '${text}' is damaged: ${damaged.reason}`, {
      reason: 'damaged-object',
      hint: 'See what there is besides with the command: mastodon-backup list.',
    });
  const unsigned = catalogue.unsigned.find((one) => isNamed(one.manifest));
  if (unsigned !== undefined)
    throw new AppError(
      'usage',
      `The snapshot '${snapshotName(unsigned.manifest)}' counts for nothing: it ${describeObjection(unsigned.objection)}`,
      {
        hint: `If you know that it is yours, sign it with: mastodon-backup adopt ${snapshotName(unsigned.manifest)}, or take it as it is with --accept-unsigned.`,
      },
    );
  const unread = catalogue.unreadable.find(isNamed);
  if (unread !== undefined) throw noSnapshot(`The snapshot '${text}' cannot be read: ${unread.reason}`, nothing);
  throw noSnapshot(`There is no snapshot '${text}' in ${place}`, {
    ...nothing,
    unseen: catalogue.unlisted.filter(
      ({ isTier, tier: one }) => isTier && !/^[a-z]+\//.test(text.replace(`${one}/`, '')),
    ),
  });
}

function olderThan(catalogue: Catalogue, before: Date | undefined): Catalogue {
  if (before === undefined) return catalogue;
  return {
    ...catalogue,
    snapshots: catalogue.snapshots.filter(({ dataAt }) => dataAt < before),
    damaged: catalogue.damaged.filter(({ manifest }) => manifest.dataAt < before),
    unsigned: catalogue.unsigned.filter(({ manifest }) => manifest.dataAt < before),
    unreadable: catalogue.unreadable.filter(({ id }) => (startOfId(id) ?? before) < before),
  };
}

// Of those in the day that was named the newest, else the one whose data is nearest to it; which one is said.
function nearest(
  snapshots: readonly Manifest[],
  {
    text,
    place,
    named: { from, to },
    timeZone,
    now,
    encryptedOnly,
  }: {
    readonly text: string;
    readonly place: string;
    readonly named: NamedTime;
    readonly timeZone: string;
    readonly now: Date;
    readonly encryptedOnly: boolean;
  },
): Choice {
  const distance = ({ dataAt }: Manifest): number =>
    Math.max(0, from.getTime() - dataAt.getTime(), dataAt.getTime() - Math.max(from.getTime(), to.getTime() - 1));
  const [found] = withoutFuture(snapshots, now)
    .filter((one) => !encryptedOnly || objectToPlaintext(one) === null)
    .toSorted((a, b) => distance(a) - distance(b) || b.dataAt.getTime() - a.dataAt.getTime());
  if (found === undefined)
    throw noSnapshot(`There is no snapshot near '${text}' in ${place}`, { passedOver: [], unseen: [] });
  const remark = `it is the nearest to ${text}: its data is of ${formatMoment(found.dataAt, timeZone)}`;
  return { manifest: found, passedOver: [], unseen: [], remark };
}

/** Why a snapshot is none where only what is encrypted is taken for one; null: it may be one. */
export function objectToPlaintext(manifest: Pick<Manifest, 'parts'>): string | null {
  if (dumpOf(manifest).encryption !== null) return null;
  return 'it is not encrypted, and backups here are: anybody who may write the store can have put it there';
}

function noSnapshot(message: string, { passedOver, unseen }: Pick<Choice, 'passedOver' | 'unseen'>): AppError {
  const [first, ...others] = passedOver;
  const hidden = unseen.map(({ tier, reason }) => `; what is in '${tier}' could not be seen: ${reason}`).join('');
  const apart =
    first === undefined
      ? ''
      : `; ${first.snapshot} cannot be it: ${first.reason}${others.length === 0 ? '' : `; nor can ${plural(others.length, 'other')}`}`;
  return new AppError('no-snapshot', `${message}${apart}${hidden}`, {
    hint: 'See what there is with the command: mastodon-backup list.',
  });
}
