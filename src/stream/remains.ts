// What would be left behind if the process ended this moment, and how to remove it. Whoever interrupts twice ends us in the middle of
// tidying up; told what is left, he need not find it months later.

/** What there is at the moment. */
export interface Remains {
  /** Something that would be left, and its remedy in one sentence; the disposer says that it is gone. */
  add(text: string): Disposable;
  list(): readonly string[];
}

/** Nothing yet. */
export function createRemains(): Remains {
  const texts = new Set<{ readonly text: string }>();
  return {
    add(text) {
      const entry = { text };
      texts.add(entry);
      return { [Symbol.dispose]: () => void texts.delete(entry) };
    },
    list: () => [...texts].map(({ text }) => text),
  };
}
