// What README.md and docs/ say, for the tests that hold it true: a block of commands is found by words in it, and typed by a
// test. Where a test had its own copy of a command, the documentation could rot beside it.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The directory of the checkout. */
export const checkout = fileURLToPath(new URL('../../', import.meta.url));

/** A page of the documentation. */
export interface Page {
  /** Its path in the checkout. */
  readonly file: string;
  readonly text: string;
}

/** A fenced block. */
export interface Block {
  readonly page: string;
  /** What stands behind the fence. */
  readonly language: string;
  readonly text: string;
}

const docs = readdirSync(path.join(checkout, 'docs'), { recursive: true, encoding: 'utf8' });

/** README.md and everything in docs/. */
export const pages: readonly Page[] = [
  'README.md',
  ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
].map((file) => ({ file, text: readFileSync(path.join(checkout, file), 'utf8') }));

/** All fenced blocks of a page. Throws where a fence is not closed. */
export function blocksOf({ file, text }: Page): readonly Block[] {
  const blocks: Block[] = [];
  let open: { readonly fence: string; readonly language: string; readonly lines: string[] } | null = null;
  for (const line of text.split('\n')) {
    const [, fence, language = ''] = /^\s*(`{3,}|~{3,})(.*)$/.exec(line) ?? [];
    if (open !== null && fence === open.fence && language === '') {
      blocks.push({ page: file, language: open.language, text: `${open.lines.join('\n')}\n` });
      open = null;
    } else if (open !== null) open.lines.push(line);
    else if (fence !== undefined) open = { fence, language, lines: [] };
  }
  assert.equal(open, null, `${file}: a fence is not closed`);
  return blocks;
}

/** A page without its fenced blocks. */
export function proseOf({ text }: Page): string {
  return text.replaceAll(/^\s*(`{3,}|~{3,})[^\n]*\n.*?^\s*\1$/gms, '');
}

/** All blocks of commands. */
export const commandBlocks: readonly Block[] = pages.flatMap(blocksOf).filter(({ language }) => language === 'sh');

/** The one block of commands with these words, to be typed. Throws when there is none, or another. */
export function commandBlock(words: string): string {
  const found = commandBlocks.filter(({ text }) => text.includes(words));
  assert.equal(
    found.length,
    1,
    `one block of the documentation has '${words}': ${found.map(({ page }) => page).join()}`,
  );
  return found[0]?.text ?? '';
}
