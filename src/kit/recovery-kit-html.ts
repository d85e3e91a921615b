// The recovery kit as one HTML file that prints well: no script, no picture, nothing that is fetched from elsewhere. All of
// it is escaped, for names of buckets and databases are other people's text.

import { escapeHtml } from '../text/html.ts';
import type { KitBlock } from './kit-section.ts';
import type { RecoveryKit } from './recovery-kit.ts';

const style = `
  :root { color-scheme: light dark; }
  body { font: 15px/1.45 system-ui, sans-serif; max-width: 58rem; margin: 2rem auto; padding: 0 1rem; }
  h1 { font-size: 1.6em; margin: 0 0 .5em; }
  h2 { font-size: 1.15em; margin: 1.4em 0 .4em; border-bottom: 1px solid currentColor; }
  p, ul { margin: .4em 0; }
  th { text-align: left; font-weight: 600; padding-right: 1.2em; vertical-align: top; white-space: nowrap; }
  td { overflow-wrap: anywhere; }
  pre { font: 12.5px/1.4 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: .3em 0 .8em;
    padding: .5em .8em; border: 1px solid #8888; border-radius: 4px; }
  @page { margin: 14mm; }
  @media print {
    body { font-size: 9.5pt; max-width: none; margin: 0; padding: 0; }
    pre { font-size: 7.5pt; padding: .3em .5em; }
    h2, p:has(+ pre) { break-after: avoid; }
    pre, table, li { break-inside: avoid; }
  }`;

/** The kit as a whole HTML document. */
export function renderKitHtml(kit: RecoveryKit): string {
  const sections = kit.sections.map(
    ({ title, blocks }) => `<h2>${escapeHtml(title)}</h2>\n${blocks.map(renderBlock).join('\n')}`,
  );
  return [
    '<!doctype html>',
    '<html lang="en">',
    '<head>',
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="robots" content="noindex">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    `<title>${escapeHtml(kit.title)}</title>`,
    `<style>${style}\n</style>`,
    '</head>',
    '<body>',
    `<h1>${escapeHtml(kit.title)}</h1>`,
    ...sections,
    '</body>',
    '</html>',
    '',
  ].join('\n');
}

function renderBlock(block: KitBlock): string {
  switch (block.kind) {
    case 'text':
      return `<p>${escapeHtml(block.text)}</p>`;
    case 'list':
      return `<ul>\n${block.items.map((item) => `<li>${escapeHtml(item)}</li>`).join('\n')}\n</ul>`;
    case 'facts': {
      const rows = block.rows.map(
        ([name, value]) => `<tr><th scope="row">${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`,
      );
      return `<table>\n${rows.join('\n')}\n</table>`;
    }
    case 'commands':
      return `${block.label === '' ? '' : `<p>${escapeHtml(block.label)}</p>\n`}<pre>${block.lines.map(escapeHtml).join('\n')}</pre>`;
    default:
      return block satisfies never;
  }
}
