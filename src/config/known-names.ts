// Tells a mistyped setting from one that a newer or older version knows. The first is an error, because it may switch a
// backup off; the second only a warning, because an image that is rolled back must still back up.

const longNameLength = 20;

/** The known name that `name` is probably meant to be, or undefined when it is close to none. */
export function closestName(name: string, known: readonly string[]): string | undefined {
  const upper = name.toUpperCase();
  const nearest = known
    .map((candidate) => ({ candidate, distance: editDistance(upper, candidate) }))
    .toSorted((a, b) => a.distance - b.distance)[0];
  const limit = name.length >= longNameLength ? 3 : 2;
  return nearest !== undefined && nearest.distance <= limit ? nearest.candidate : undefined;
}

/** Damerau-Levenshtein distance (optimal string alignment): inserted, deleted, replaced characters, swapped neighbours. */
export function editDistance(a: string, b: string): number {
  let beforeLast: readonly number[] = [];
  let last: readonly number[] = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i += 1) {
    const row = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, replaced);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        best = Math.min(best, (beforeLast[j - 2] ?? 0) + 1);
      }
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
