// The recovery kit as text for a terminal, a printer or a mail: paragraphs are wrapped, commands never are, so that they can
// be pasted.

import type { KitBlock } from './kit-section.ts';
import { qrModules, qrText } from './qr-code.ts';
import type { RecoveryKit } from './recovery-kit.ts';
import { wrap } from '../text/table.ts';

const paragraph = { columns: 96, indent: 0 } as const;
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
      return wrap(block.text, paragraph);
    case 'list':
      return block.items.map((item) => `- ${wrap(item, { ...paragraph, indent: 2 })}`).join('\n');
    case 'facts': {
      const column = Math.max(...block.rows.map(([name]) => name.length));
      return block.rows.map(([name, value]) => `  ${name.padEnd(column)}  ${value}`).join('\n');
    }
    case 'commands':
      return [
        ...(block.label === '' ? [] : [wrap(block.label, paragraph)]),
        ...block.lines.map((line) => `${indent}${line}`),
      ].join('\n');
    case 'code':
      return [
        wrap(block.label, paragraph),
        // Between bars, so that its white margin is not taken for what is typed.
        ...qrText(qrModules(block.text)).map((line) => `  |${line}|`),
      ].join('\n');
    default:
      return block satisfies never;
  }
}
