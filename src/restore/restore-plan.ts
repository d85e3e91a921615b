// What of an archive is restored, decided before anything is: everything that a database can have without a superuser. What
// is not is counted by kind and reason, so that no restore leaves something out without a word.

import { qualifiedName, unquoted, type ArchiveItem } from '../database/archive-contents.ts';
import { AppError } from '../errors.ts';
import { plural } from '../text/table.ts';
import { isRoutineOfSuperuser } from './routines.ts';
import { kindOf } from './kinds.ts';

/** Why something stays away. */
export type LeaveReason = 'server' | 'superuser' | 'schema' | 'extension';

/** Entries of one kind that are not restored for one reason. */
export interface LeftOut {
  /** As people call them, such as `event triggers`. */
  readonly kind: string;
  readonly reason: LeaveReason;
  readonly names: readonly string[];
}

/** An extension, and the schema that it is in. */
export interface WantedExtension {
  readonly name: string;
  /** Null: the archive does not say. */
  readonly schema: string | null;
}

/** What is to be done with an archive. */
export interface RestorePlan {
  /** The whole table of contents that it was made of. */
  readonly contents: readonly ArchiveItem[];
  /** What pg_restore restores, in the archive's order. */
  readonly entries: readonly ArchiveItem[];
  /** In the order of need. */
  readonly extensions: readonly WantedExtension[];
  /** Casts between types of the server, which a superuser makes; none when there is none. */
  readonly casts: readonly ArchiveItem[];
  readonly leftOut: readonly LeftOut[];
}

/** What the plan depends on. */
export interface PlanOptions {
  /** The schemas to restore; null: all. */
  readonly schemas: readonly string[] | null;
  /** Extensions that are not to be created, with all that depends on them. */
  readonly withoutExtensions: readonly string[];
  /** Whether a superuser is at hand for what is harmless and needs one. */
  readonly withSuperuser: boolean;
  /** Settings that the target lets every role have, in lower case; null: not known, and everything is tried. */
  readonly ordinarySettings: ReadonlySet<string> | null;
}

/** Kinds that say nothing about what is in the database, or that are made by whoever creates it. */
const provided: ReadonlySet<string> = new Set([
  'ENCODING',
  'STDSTRINGS',
  'SEARCHPATH',
  'DATABASE',
  'DATABASE PROPERTIES',
]);

/** Rights name roles of another server; replication must never begin by itself. pg_restore's --no-privileges and its like. */
const ofServer: ReadonlySet<string> = new Set([
  'ACL',
  'DEFAULT ACL',
  'PUBLICATION',
  'PUBLICATION TABLE',
  'PUBLICATION TABLES IN SCHEMA',
  'SUBSCRIPTION',
  'SUBSCRIPTION TABLE',
  'SECURITY LABEL',
]);

/** Only a superuser may create these, or use what they need. */
const ofSuperuser: ReadonlySet<string> = new Set([
  'ACCESS METHOD',
  'EVENT TRIGGER',
  'FOREIGN DATA WRAPPER',
  'OPERATOR CLASS',
  'OPERATOR FAMILY',
  'PROCEDURAL LANGUAGE',
  'SERVER',
  'SHELL TYPE',
  'TEXT SEARCH PARSER',
  'TEXT SEARCH TEMPLATE',
  'TRANSFORM',
  // Of a server, on which it does not depend in an archive.
  'USER MAPPING',
]);

const baseType = /^CREATE TYPE [^\n]+ \(\n\s+INTERNALLENGTH/;
// Nothing of the user's runs when it is used: it goes through the types' own input and output, or a function of the server. One
// WITHOUT FUNCTION takes the bytes of one type for another's, and a forged dump could make the server read where it must not.
const plainCast = /^CREATE CAST \([^;]+\) (?:WITH INOUT|WITH FUNCTION pg_catalog\.[^;]+)[^;]*;\s*$/;

/** Decides. */
export function planRestore(contents: readonly ArchiveItem[], options: PlanOptions): RestorePlan {
  const byId = new Map(contents.map((item) => [item.dumpId, item]));
  const without = new Set(options.withoutExtensions);
  const schemas = options.schemas === null ? null : new Set(options.schemas);
  const reasons = new Map<number, LeaveReason>();
  const casts: ArchiveItem[] = [];
  for (const item of contents) {
    const reason = leaveReason(item, { ...options, without, schemas, byId });
    if (reason === 'cast') casts.push(item);
    else if (reason !== null) reasons.set(item.dumpId, reason);
  }
  spread(contents, reasons);
  const isByUs = (item: ArchiveItem): boolean => isProvided(item) || isOfExtension(item) || casts.includes(item);
  return {
    contents,
    entries: contents.filter((item) => !isByUs(item) && !reasons.has(item.dumpId)),
    extensions: contents
      .filter(({ kind, dumpId }) => kind === 'EXTENSION' && !reasons.has(dumpId))
      .map(({ name, definition }) => ({ name, schema: schemaOfExtension(definition) })),
    casts: casts.filter(({ dumpId }) => !reasons.has(dumpId)),
    leftOut: group(
      contents.filter((item) => !provided.has(item.kind)),
      reasons,
    ),
  };
}

/** What depends on these extensions, by kind: what a restore without them lacks. */
export function dependentsOf(contents: readonly ArchiveItem[], extensions: readonly string[]): readonly LeftOut[] {
  const plan = planRestore(contents, {
    schemas: null,
    withoutExtensions: extensions,
    withSuperuser: true,
    ordinarySettings: null,
  });
  return plan.leftOut.filter(({ reason, kind }) => reason === 'extension' && kind !== 'extensions');
}

/**
 * Refuses a restore that would bring back no table, not all of them although nobody left any out, or none of a schema that was asked for.
 * @throws AppError `restore`.
 */
export function assertBringsTables(
  { contents, entries }: RestorePlan,
  { rows, options }: { readonly rows: Readonly<Record<string, number>>; readonly options: PlanOptions },
): void {
  const tables = new Set(entries.filter(({ kind }) => kind === 'TABLE DATA').map(qualifiedName));
  if (!entries.some(({ kind }) => kind === 'TABLE')) {
    const there = [...new Set(Object.keys(rows).map((table) => table.split('.')[0]))].join(', ');
    throw new AppError('restore', 'The restore would bring back no table at all', {
      hint:
        options.schemas === null
          ? 'Restore another snapshot; see them with: mastodon-backup list.'
          : `Name a schema that has tables with --schema (${there === '' ? 'the dump has none' : there}).`,
    });
  }
  assertKnown(options.schemas ?? [], contents);
  if (options.schemas !== null || options.withoutExtensions.length > 0) return;
  const missing = Object.keys(rows).filter((table) => !tables.has(table) && table !== 'BLOBS');
  if (missing.length === 0) return;
  const total = Object.keys(rows).length;
  throw new AppError(
    'restore',
    `The restore would bring back ${total - missing.length} of ${plural(total, 'table')}; without ${list(missing)}`,
    { hint: 'Get the plain dump with restore --output FILE, and restore it as a superuser with pg_restore.' },
  );
}

// Beside one that is there, a name that was mistyped would be missed by nobody before the restored database is in use.
function assertKnown(schemas: readonly string[], contents: readonly ArchiveItem[]): void {
  const known = new Set(contents.filter(({ kind }) => !provided.has(kind)).map(schemaOf));
  known.delete('');
  // A dump does not create the schema public, so an empty one leaves no trace in it.
  const unknown = schemas.filter((schema) => schema !== 'public' && !known.has(schema));
  if (unknown.length === 0) return;
  const names = unknown.map((schema) => `'${schema}'`).join(', ');
  throw new AppError('restore', `The dump has nothing of the schema ${names}`, {
    hint: `It has something of: ${list([...known].toSorted())}.`,
  });
}

/** The first few names, and how many more there are. */
export function list(names: readonly string[]): string {
  const most = 5;
  return `${names.slice(0, most).join(', ')}${names.length > most ? ` and ${names.length - most} more` : ''}`;
}

function leaveReason(
  item: ArchiveItem,
  facts: {
    readonly without: ReadonlySet<string>;
    readonly schemas: ReadonlySet<string> | null;
    readonly byId: ReadonlyMap<number, ArchiveItem>;
  } & Pick<PlanOptions, 'withSuperuser' | 'ordinarySettings'>,
): LeaveReason | 'cast' | null {
  const { kind, name, definition } = item;
  const { without, schemas } = facts;
  if (isProvided(item)) return null;
  if (kind === 'EXTENSION') return without.has(name) ? 'extension' : null;
  if (isOfExtension(item)) return null;
  if (ofServer.has(kind) || (kind === 'COMMENT' && name.startsWith('DATABASE '))) return 'server';
  if (schemas !== null && !schemas.has(schemaOf(item))) return 'schema';
  if (ofSuperuser.has(kind) || (kind === 'TYPE' && baseType.test(definition))) return 'superuser';
  if (isRoutineOfSuperuser(item, facts)) return 'superuser';
  if (kind !== 'CAST') return null;
  const types = item.dependsOn.map((id) => facts.byId.get(id)?.kind);
  const isOfUser = types.some((one) => one === 'TYPE' || one === 'DOMAIN' || one === 'TABLE');
  if (isOfUser && !/ WITHOUT FUNCTION/.test(definition)) return null;
  return facts.withSuperuser && plainCast.test(definition) ? 'cast' : 'superuser';
}

// What depends on something that stays away stays away too. Not for --schema: whoever chose gets told by the server.
function spread(contents: readonly ArchiveItem[], reasons: Map<number, LeaveReason>): void {
  for (let before = -1; before !== reasons.size;) {
    before = reasons.size;
    for (const item of contents) {
      const { dumpId, kind, dependsOn } = item;
      if (reasons.has(dumpId) || provided.has(kind) || (isOfExtension(item) && kind !== 'EXTENSION')) continue;
      const reason = dependsOn
        .map((id) => reasons.get(id))
        .find((one) => one === 'extension' || one === 'superuser' || (one === 'server' && kind === 'COMMENT'));
      if (reason !== undefined) reasons.set(dumpId, reason);
    }
  }
}

// `public` is there with the rights that it needs on the target: those of 14 differ from those of 15.
function isProvided({ kind, name }: ArchiveItem): boolean {
  return provided.has(kind) || (kind === 'ACL' && name === 'SCHEMA public');
}

// The extension's own script says the comment again.
function isOfExtension({ kind, name }: ArchiveItem): boolean {
  return kind === 'EXTENSION' || (kind === 'COMMENT' && name.startsWith('EXTENSION '));
}

function schemaOf({ kind, schema, name }: ArchiveItem): string {
  if (kind === 'SCHEMA') return name;
  return schema === '' && name.startsWith('SCHEMA ') ? unquoted(name.slice('SCHEMA '.length)) : schema;
}

function schemaOfExtension(definition: string): string | null {
  const [, name] = / WITH SCHEMA ("(?:[^"]|"")+"|\w+);/.exec(definition) ?? [];
  return name === undefined ? null : unquoted(name);
}

function group(items: readonly ArchiveItem[], reasons: ReadonlyMap<number, LeaveReason>): readonly LeftOut[] {
  const groups = new Map<string, { kind: string; reason: LeaveReason; names: string[] }>();
  for (const item of items) {
    const reason = reasons.get(item.dumpId);
    if (reason === undefined) continue;
    const kind = kindOf(item.kind);
    const key = `${reason} ${kind}`;
    const found = groups.get(key) ?? { kind, reason, names: [] };
    found.names.push(item.schema === '' ? item.name : `${item.schema}.${item.name}`);
    groups.set(key, found);
  }
  return [...groups.values()];
}
