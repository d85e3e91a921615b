// What the stored documents are made of. A document is decoded once, where it is read, into values that can be used as they
// are; nothing that a garbled or a foreign file holds gets further than that.

import * as v from 'valibot';

/** An object whose fields are known; fields beyond them, as a newer version may have added, are kept. */
export function record<const Entries extends v.ObjectEntries>(
  entries: Entries,
): v.GenericSchema<
  v.InferInput<v.ObjectSchema<Entries, undefined>>,
  Readonly<v.InferOutput<v.ObjectSchema<Entries, undefined>>>
> {
  // Kept, but not part of the type: nothing here may act on what it does not know.
  return v.looseObject(entries, 'is not an object');
}

/** A list. */
export function list<Item extends v.GenericSchema>(
  item: Item,
): v.GenericSchema<readonly v.InferInput<Item>[], readonly v.InferOutput<Item>[]> {
  return v.array(item, 'is not a list');
}

/** Values by name. */
export function byName<Value extends v.GenericSchema>(
  value: Value,
): v.GenericSchema<Readonly<Record<string, v.InferInput<Value>>>, Readonly<Record<string, v.InferOutput<Value>>>> {
  return v.record(v.string(), value, 'is not an object');
}

/** A text. */
export const text = v.string('is not a text');

/** A whole number that is not negative. */
export const count = v.pipe(
  v.number('is not a count'),
  v.safeInteger('is not a count'),
  v.minValue(0, 'is not a count'),
);

/** Whole numbers that are not negative, by name. In one step: a manifest has one for every table, and there are ten thousand manifests. */
export const counts: v.GenericSchema<Readonly<Record<string, number>>> = v.pipe(
  v.custom<Readonly<Record<string, number>>>(
    (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    'is not an object',
  ),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { value: input } = dataset;
    for (const key in input) {
      const value: unknown = input[key];
      if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) continue;
      addIssue({
        message: 'is not a count',
        path: [{ type: 'object', origin: 'value', input: { ...input }, key, value }],
      });
      return;
    }
  }),
);

/** A SHA-256 in hexadecimal. */
export const sha256 = v.pipe(text, v.regex(/^[0-9a-f]{64}$/, 'is no SHA-256'));

/** A time as text. */
export const time = v.pipe(
  text,
  v.check((value) => !Number.isNaN(Date.parse(value)), 'is not a time'),
);

/** An instant, written as ISO 8601 in UTC with milliseconds, as JSON writes a `Date`. Parsed once: it is most of what a record says. */
export const instant = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const at = new Date(dataset.value);
    if (!Number.isNaN(at.getTime()) && at.toISOString() === dataset.value) return at;
    addIssue({ message: 'is not a time' });
    return NEVER;
  }),
);

/** One of some words. */
export function oneOf<const Word extends string>(...words: readonly Word[]): v.GenericSchema<Word> {
  return v.picklist(words, 'is not known');
}

/** What a document turned out to be. */
export type Decoded<Document> =
  { readonly kind: 'read'; readonly document: Document } | { readonly kind: 'unreadable'; readonly reason: string };

/** Deeper than any document of ours: what is kept unread of one is written again, by code that calls itself once a level. */
const deepest = 64;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Reads a document of UTF-8 and JSON in `format`, named by its field of that name; never throws. */
export function decodeDocument<Document>(
  content: Uint8Array,
  { schema, format }: { readonly schema: v.GenericSchema<unknown, Document>; readonly format: number },
): Decoded<Document> {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(content));
  } catch (error) {
    return { kind: 'unreadable', reason: error instanceof Error ? error.message : 'it is no JSON' };
  }
  if (isDeeperThan(deepest, value)) return { kind: 'unreadable', reason: `it is nested more than ${deepest} deep` };
  const found = typeof value === 'object' && value !== null && 'format' in value ? value.format : format;
  if (found !== format)
    return { kind: 'unreadable', reason: `format ${JSON.stringify(found)} is not known to this version` };
  const parsed = v.safeParse(schema, value, { abortEarly: true });
  if (parsed.success) return { kind: 'read', document: parsed.output };
  const [issue] = parsed.issues;
  return { kind: 'unreadable', reason: `${v.getDotPath(issue) ?? 'the document'} ${issue.message}` };
}

// It calls itself no more often than that, and looks at every value once.
function isDeeperThan(most: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (most === 0) return true;
  for (const one of Object.values(value)) if (isDeeperThan(most - 1, one)) return true;
  return false;
}

/** A document as it is stored: JSON that people can read. */
export function encodeDocument(document: object): Buffer {
  return Buffer.from(`${JSON.stringify(document, null, 2)}\n`);
}
