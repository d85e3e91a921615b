// Chance that can be repeated: everything a fault is made of is drawn from its seed and its number, and from nothing else. A
// fault that cannot be had again is an anecdote.

/** Where a fault's decisions come from. */
export interface Chance {
  /** From 0 to below 1. */
  real(): number;
  /** A whole number from `least` to `most`, both included. */
  whole(least: number, most: number): number;
  /** Whether something happens that happens with this probability. */
  happens(probability: number): boolean;
  /** One of the items, each as likely as the others. */
  one<Item>(items: readonly Item[]): Item;
  /** One of the items, by weight. */
  weighted<Item>(items: readonly (readonly [number, Item])[]): Item;
}

/** The chance of fault number `index` of the campaign `seed`. */
export function createChance(seed: number, index: number): Chance {
  // Mulberry32, begun where two neighbours have nothing in common.
  let state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(index + 1, 0xc2b2ae35)) >>> 0;
  const real = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  real();
  const weighted = <Item>(items: readonly (readonly [number, Item])[]): Item => {
    let left = real() * items.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, item] of items) {
      left -= weight;
      if (left < 0) return item;
    }
    const last = items.at(-1);
    if (last === undefined) throw new Error('There is nothing to choose from');
    return last[1];
  };
  return {
    real,
    whole: (least, most) => least + Math.floor(real() * (most - least + 1)),
    happens: (probability) => real() < probability,
    one: (items) => weighted(items.map((item) => [1, item] as const)),
    weighted,
  };
}
