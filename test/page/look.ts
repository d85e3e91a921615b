// What must be so of everything that is opened in a browser, on a phone and on a desk, by day and by night.

import assert from 'node:assert/strict';
import type { Sheet, Sight } from './browser.ts';

const sights: readonly Sight[] = [360, 1280].flatMap((width) =>
  (['light', 'dark'] as const).map((scheme) => ({ width, scheme })),
);
/** So tall a page is no longer read but searched; a column that is a letter wide makes it much taller. */
const usualTallest = 12_000;

/** It loads all of itself, is as wide as the window, and axe-core finds nothing wrong with it; `words` name it. */
export async function look(
  sheet: Sheet,
  words: string,
  { tallest = usualTallest }: { readonly tallest?: number } = {},
): Promise<void> {
  assert.deepEqual(sheet.troubles, [], words);
  for (const sight of sights) {
    await sheet.see(sight);
    const { width, height } = await sheet.size();
    assert.ok(width <= sight.width, `${words} is ${width} wide in a window of ${sight.width}`);
    assert.ok(height <= tallest, `${words} is ${height} tall in a window ${sight.width} wide`);
    assert.deepEqual(await sheet.violations(), [], `${words}, ${sight.width} ${sight.scheme}`);
  }
}
