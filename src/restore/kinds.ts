// What is in an archive as people call it, and how many of it there are: pg_dump's own words are those of its table of contents.

import { plural } from '../text/table.ts';

/** Singular and plural where they are not pg_dump's word and the same with an s. */
const words: Readonly<Record<string, readonly [one: string, many: string]>> = {
  ACL: ['granted right', 'granted rights'],
  'DEFAULT ACL': ['default right', 'default rights'],
  BLOB: ['large object', 'large objects'],
  BLOBS: ['large object', 'large objects'],
  'BLOB METADATA': ['large object', 'large objects'],
  'FK CONSTRAINT': ['foreign key', 'foreign keys'],
  INDEX: ['index', 'indexes'],
  POLICY: ['policy', 'policies'],
  AGGREGATE: ['aggregate', 'aggregates'],
  'OPERATOR CLASS': ['operator class', 'operator classes'],
  'OPERATOR FAMILY': ['operator family', 'operator families'],
  'TABLE DATA': ['table with rows', 'tables with rows'],
  STATISTICS: ['object of extended statistics', 'extended statistics'],
};

/** Several of an archive's kind, such as `event triggers`. */
export function kindOf(kind: string): string {
  return words[kind]?.[1] ?? `${kind.toLowerCase()}s`;
}

/** So many of a kind, such as `1 index`. */
export function countOfKind({ kind, names }: { readonly kind: string; readonly names: readonly string[] }): string {
  const known = Object.values(words).find(([, many]) => many === kind);
  return plural(names.length, known?.[0] ?? kind.replace(/s$/, ''), kind);
}
