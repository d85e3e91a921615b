// The grammar of keys, built and parsed in one place: `daily/2026-11-23T120000Z-4f1c2a.dump.xz.age`. What does not parse
// is not ours, and what is not ours is never touched.

import { randomBytes } from 'node:crypto';
import type { ObjectKey } from '../storage/store.ts';
import { asFolder, type Folder } from '../schedule/tier.ts';

/** What a key names. */
export type KeyPart = 'manifest' | 'signature' | 'pin' | PartKind;

/** A part that this version knows. */
export type PartKind = 'dump' | BesideKind;

/** A part beside the dump. */
export type BesideKind = 'secrets' | 'extra';

/** A key taken apart. */
export interface ParsedKey {
  readonly key: ObjectKey;
  readonly folder: Folder;
  readonly id: string;
  readonly part: KeyPart;
  /** What follows the id, such as `.dump.xz.age`. */
  readonly suffix: string;
  /** The time in the id. */
  readonly startedAt: Date;
}

const suffixes = {
  manifest: /^\.json$/,
  signature: /^\.json\.sig$/,
  pin: /^\.pin$/,
  dump: /^\.dump(\.xz|\.zst)?(\.age)?$/,
  secrets: /^\.secrets\.env\.age$/,
  extra: /^\.extra\.tar\.age$/,
} as const satisfies Record<KeyPart, RegExp>;

/** What the parts of a newer version may end in; never as the manifest and what stands beside it for itself. */
const laterSuffix = /^\.(?!json\b|pin\b)[a-z][a-z0-9-]*(\.[a-z0-9-]+)*$/;

const grammar = /^([a-z]+)\/([^/.]+)(\..+)$/;
const idGrammar = /^(\d{4})-(\d\d)-(\d\d)T(\d\d)(\d\d)(\d\d)Z-[0-9a-f]{6}$/;

/** A new snapshot id: the moment in UTC to the second, and 24 random bits. */
export function createSnapshotId(now: Date): string {
  const stamp = now
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '');
  return `${stamp}-${randomBytes(3).toString('hex')}`;
}

/** Whether a text is a snapshot id. */
export function isSnapshotId(text: string): boolean {
  return startOfId(text) !== undefined;
}

/** The time in a snapshot's id, at which its run began; undefined for what is no id. */
export function startOfId(id: string): Date | undefined {
  const match = idGrammar.exec(id);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const startedAt = new Date(iso);
  return !Number.isNaN(startedAt.getTime()) && startedAt.toISOString() === iso ? startedAt : undefined;
}

/** The ending of a part's name, when it is one that a part of this kind of this snapshot can have. */
export function partSuffix(
  { kind, name }: { readonly kind: string; readonly name: string },
  id: string,
): string | undefined {
  if (!name.startsWith(`${id}.`)) return undefined;
  const suffix = name.slice(id.length);
  const known: RegExp = kind === 'dump' || kind === 'secrets' || kind === 'extra' ? suffixes[kind] : laterSuffix;
  const isTaken = Object.entries(suffixes).some(([other, pattern]) => other !== kind && pattern.test(suffix));
  return known.test(suffix) && !isTaken ? suffix : undefined;
}

/** What a part of the snapshot `of` is called in a copy of it with another id. */
export function nameUnder(
  id: string,
  {
    part,
    of,
  }: { readonly part: { readonly kind: string; readonly name: string }; readonly of: { readonly id: string } },
): string {
  const suffix = partSuffix(part, of.id);
  if (suffix === undefined) throw new Error(`'${part.name}' is no part of ${of.id}`);
  return `${id}${suffix}`;
}

/** The key of a part, which lies beside its manifest. */
export function partKey(prefix: string, { tier, name }: { readonly tier: Folder; readonly name: string }): ObjectKey {
  return `${prefix}${tier}/${name}` as ObjectKey;
}

/** The key of a snapshot's manifest. */
export function manifestKey(prefix: string, { tier, id }: { readonly tier: Folder; readonly id: string }): ObjectKey {
  return partKey(prefix, { tier, name: `${id}.json` });
}

/** The key of the pin that keeps a snapshot out of retention. */
export function pinKey(prefix: string, { tier, id }: { readonly tier: Folder; readonly id: string }): ObjectKey {
  return partKey(prefix, { tier, name: `${id}.pin` });
}

/** Takes a key apart; undefined for everything that this program cannot have written. */
export function parseKey(text: string, { prefix }: { readonly prefix: string }): ParsedKey | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const match = grammar.exec(text.slice(prefix.length));
  if (match === null) return undefined;
  const [, folderName = '', id = '', suffix = ''] = match;
  const folder = asFolder(folderName);
  const part = (Object.keys(suffixes) as KeyPart[]).find((name) => suffixes[name].test(suffix));
  const startedAt = startOfId(id);
  if (folder === undefined || part === undefined || startedAt === undefined) return undefined;
  return { key: text as ObjectKey, folder, id, part, suffix, startedAt };
}

/** The key of what a drill found; `id` is made like a snapshot's. */
export function buildDrillKey({ prefix, id }: { readonly prefix: string; readonly id: string }): ObjectKey {
  return `${prefix}drills/${id}.json` as ObjectKey;
}

/** Whether a key, without its prefix, is that of what a drill found. */
export function isDrillName(name: string): boolean {
  const id = /^drills\/([^/]+)\.json(?:\.sig)?$/.exec(name)?.[1];
  return id !== undefined && isSnapshotId(id);
}
