// A row of figures as a line of eight heights, for a terminal.

const heights = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;

/**
 * The last values as at most `columns` characters, several of them in one where there are more. What varies by less than a
 * fifth is not shown as if it fell to nothing.
 */
export function sparkline(values: readonly number[], { columns }: { readonly columns: number }): string {
  const perColumn = Math.max(1, Math.ceil(values.length / columns));
  const means: number[] = [];
  // From the end, so that the newest column is whole.
  for (let end = values.length; end > 0; end -= perColumn) {
    const some = values.slice(Math.max(0, end - perColumn), end);
    means.unshift(some.reduce((sum, value) => sum + value, 0) / some.length);
  }
  const highest = Math.max(0, ...means);
  const lowest = Math.min(highest * 0.8, ...means);
  const step = (highest - lowest) / (heights.length - 1);
  return means.map((mean) => heights[step === 0 ? 0 : Math.round((mean - lowest) / step)] ?? heights[0]).join('');
}
