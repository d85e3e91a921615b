// The grammar of keys below `pitr/`: base backups and write-ahead log of one server, by its system identifier. As with
// snapshots, what does not parse is not ours, and what is not ours is never touched.

import type { ObjectKey } from '../storage/store.ts';
import type { CompressionName } from '../codec/codec.ts';
import { startOfId } from './object-keys.ts';

/** How the bytes of an object are stored. */
export interface StoredForm {
  readonly compression: CompressionName;
  readonly encrypted: boolean;
}

/** What a key below `pitr/` names. Names of segments are PostgreSQL's own: 24 hexadecimal digits, timeline first. */
export type ChainKey = { readonly key: ObjectKey; readonly systemIdentifier: string } & (
  | { readonly kind: 'base-document'; readonly id: string }
  | { readonly kind: 'base-signature'; readonly id: string }
  | ({ readonly kind: 'base'; readonly id: string } & StoredForm)
  | ({ readonly kind: 'segment'; readonly segment: string } & StoredForm)
  | ({
      readonly kind: 'part';
      readonly segment: string;
      /** The bytes of the segment that are in it, the second not included. */
      readonly from: number;
      readonly to: number;
    } & StoredForm)
  | ({ readonly kind: 'history'; readonly timeline: number } & StoredForm)
  /** Of a piece of the log, or of a history: then it has no segment. */
  | { readonly kind: 'wal-signature'; readonly of: ObjectKey; readonly segment: string | null }
);

/** Where everything below `pitr/` of a server is. */
export interface ChainPlace {
  readonly prefix: string;
  readonly systemIdentifier: string;
}

const grammar =
  /^pitr\/(\d{1,20})\/(?:base\/([^/.]+)\.(?:(json(?:\.sig)?)|tar(\.xz|\.zst)?(\.age)?)|wal\/([0-9A-F]{8})\/(?:([0-9A-F]{24})(?:\.part\.([0-9A-F]{8})-([0-9A-F]{8}))?|([0-9A-F]{8})\.history)(\.xz|\.zst)?(\.age)?(\.sig)?)$/;

const compressions = { '.xz': 'xz', '.zst': 'zstd', '': 'none' } as const satisfies Record<string, CompressionName>;

/** The folder of all chains. */
export function chainsPrefix(prefix: string): string {
  return `${prefix}pitr/`;
}

/** The folder of one server's chain. */
export function chainPrefix({ prefix, systemIdentifier }: ChainPlace): string {
  return `${chainsPrefix(prefix)}${systemIdentifier}/`;
}

/** Takes a key apart; undefined for everything that this program cannot have written. */
export function parseChainKey(text: string, { prefix }: { readonly prefix: string }): ChainKey | undefined {
  if (!text.startsWith(prefix)) return undefined;
  const match = grammar.exec(text.slice(prefix.length));
  if (match === null) return undefined;
  const [, systemIdentifier = '', id, json, tarCompression, tarAge, folder, segment, from, to, history] = match;
  const key = text as ObjectKey;
  if (id !== undefined) {
    if (startOfId(id) === undefined) return undefined;
    if (json !== undefined)
      return json === 'json'
        ? { key, systemIdentifier, kind: 'base-document', id }
        : { key, systemIdentifier, kind: 'base-signature', id };
    return { key, systemIdentifier, kind: 'base', id, ...formOf(tarCompression, tarAge) };
  }
  const form = formOf(match[11], match[12]);
  const signs = match[13];
  const of = text.slice(0, text.length - (signs?.length ?? 0)) as ObjectKey;
  if (history !== undefined) {
    if (history !== folder) return undefined;
    if (signs !== undefined) return { key, systemIdentifier, kind: 'wal-signature', of, segment: null };
    return { key, systemIdentifier, kind: 'history', timeline: Number.parseInt(history, 16), ...form };
  }
  if (segment === undefined || !segment.startsWith(folder ?? '')) return undefined;
  if (signs !== undefined) return { key, systemIdentifier, kind: 'wal-signature', of, segment };
  if (from === undefined || to === undefined) return { key, systemIdentifier, kind: 'segment', segment, ...form };
  const range = { from: Number.parseInt(from, 16), to: Number.parseInt(to, 16) };
  if (range.from >= range.to) return undefined;
  return { key, systemIdentifier, kind: 'part', segment, ...range, ...form };
}

function formOf(compression = '', age: string | undefined): StoredForm {
  return { compression: compressions[compression as keyof typeof compressions], encrypted: age !== undefined };
}

function ending({ compression, encrypted }: StoredForm): string {
  return `${{ xz: '.xz', zstd: '.zst', none: '' }[compression]}${encrypted ? '.age' : ''}`;
}

/** The key of a base backup's document, which makes it exist. */
export function baseDocumentKey(place: ChainPlace, id: string): ObjectKey {
  return `${chainPrefix(place)}base/${id}.json` as ObjectKey;
}

/** What a base backup's tar is called beside its document. */
export function baseName(id: string, form: StoredForm): string {
  return `${id}.tar${ending(form)}`;
}

/** The key of a base backup's tar, by its name. */
export function baseKey(place: ChainPlace, name: string): ObjectKey {
  return `${chainPrefix(place)}base/${name}` as ObjectKey;
}

/** The key of a whole segment, or of a part of it. */
export function walKey(
  place: ChainPlace,
  piece: {
    readonly segment: string;
    readonly part: { readonly from: number; readonly to: number } | null;
  } & StoredForm,
): ObjectKey {
  const { segment, part } = piece;
  const range = part === null ? '' : `.part.${offset(part.from)}-${offset(part.to)}`;
  return `${chainPrefix(place)}wal/${segment.slice(0, 8)}/${segment}${range}${ending(piece)}` as ObjectKey;
}

/** The key of a timeline's history. */
export function historyKey(place: ChainPlace, history: { readonly timeline: number } & StoredForm): ObjectKey {
  const name = offset(history.timeline);
  return `${chainPrefix(place)}wal/${name}/${name}.history${ending(history)}` as ObjectKey;
}

function offset(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}
