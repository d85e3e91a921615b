// The recovery kit as text for a terminal, a printer or a mail: paragraphs are wrapped, commands never are, so that they can
// be pasted.

import type { KitBlock } from './kit-section.ts';
import { qrModules, qrText } from './qr-code.ts';
import type { RecoveryKit } from './recovery-kit.ts';

const width = 96;
const indent = '    ';

/** The kit as plain text; every line of a command, and nothing else, begins with four spaces. */
export function renderKitText(kit: RecoveryKit): string {
  const sections = kit.sections.map(({ title, blocks }) =>
    [title, '-'.repeat(title.length), ...blocks.map(renderBlock)].join('\n'),
  );
  return `${[`${kit.title}\n${'='.repeat(kit.title.length)}`, ...sections].join('\n\n')}\n`;
}

function renderBlock(block: KitBlock): string {
  switch (block.kind) {
    case 'text':
      return wrap(block.text, { first: '', rest: '' });
    case 'list':
      return block.items.map((item) => wrap(item, { first: '- ', rest: '  ' })).join('\n');
    case 'facts': {
      const column = Math.max(...block.rows.map(([name]) => name.length));
      return block.rows.map(([name, value]) => `  ${name.padEnd(column)}  ${value}`).join('\n');
    }
    case 'commands':
      return [...labelOf(block), ...block.lines.map((line) => `${indent}${line}`)].join('\n');
    case 'code':
      return [
        wrap(block.label, { first: '', rest: '' }),
        // Between bars, so that its white margin is not taken for what is typed.
        ...qrText(qrModules(block.text)).map((line) => `  |${line}|`),
      ].join('\n');
    default:
      return block satisfies never;
  }
}

function labelOf({ label }: { readonly label: string }): readonly string[] {
  return label === '' ? [] : [wrap(label, { first: '', rest: '' })];
}

function wrap(text: string, { first, rest }: { readonly first: string; readonly rest: string }): string {
  const lines: string[] = [];
  let line = first;
  for (const word of text.split(' ')) {
    const empty = line === first || line === rest;
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = `${rest}${word}`;
    } else line = empty ? `${line}${word}` : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}
