// What an object is, by the ending of its key. A dashboard or a browser that is told an encrypted file were JSON shows it as
// damaged.

const byEnding: readonly (readonly [string, string])[] = [
  ['.json', 'application/json'],
  ['.xz', 'application/x-xz'],
  ['.sh', 'text/plain'],
  // RFC 8878.
  ['.zst', 'application/zstd'],
];

/** The media type of what is stored under a key; bytes where nothing says more, as of all that is encrypted. */
export function contentTypeOf(key: string): string {
  return byEnding.find(([ending]) => key.endsWith(ending))?.[1] ?? 'application/octet-stream';
}
