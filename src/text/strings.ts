// The same change to every text in a document, however deep: what must not be shown is taken out in one place, and not where each
// of its fields is used.

/** The value with every text in it changed; dates, numbers and names of fields stay. */
export function mapStrings<Value>(value: Value, change: (text: string) => string): Value {
  return walk(value, change) as Value;
}

function walk(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item) => walk(item, change));
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, change)]));
}
