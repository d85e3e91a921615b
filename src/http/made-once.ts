// What is made at most once a second, however often it is asked for: a flood of requests makes one page after the other, and not
// each its own, or the daemon would have no time left for backups.

const freshMs = 1_000;

/** `make`, but for a second after it began everybody gets the same, also a failure. */
export function madeOnce<Product>(make: () => Promise<Product>): () => Promise<Product> {
  let latest: { readonly product: Promise<Product>; readonly at: number } | undefined;
  return async () => {
    if (latest === undefined || performance.now() - latest.at > freshMs)
      latest = { product: make(), at: performance.now() };
    return latest.product;
  };
}
