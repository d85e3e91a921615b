// The recovery kit as one HTML file that prints well, in the style of the status page: no script, no picture, nothing that is
// fetched from elsewhere. All of it is escaped, for names of buckets and databases are other people's text.

import { createHash } from 'node:crypto';
import { html, toText, verbatim, type Html } from '../text/html.ts';
import { kitStyle } from './kit-style.ts';
import type { KitBlock } from './kit-section.ts';
import { qrModules, qrPath } from './qr-code.ts';
import type { RecoveryKit } from './recovery-kit.ts';

// The one style that may be applied, named by its hash: what a name smuggled in could not even colour the page.
const styleHash = createHash('sha256').update(toText(kitStyle)).digest('base64');

/** The kit as a whole HTML document. */
export function renderKitHtml({ title, sections }: RecoveryKit): string {
  return toText(
    html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${styleHash}'" />
          <title>${title}</title>
          ${verbatim`<style>${kitStyle}</style>`}
        </head>
        <body>
          <header><h1>${title}</h1></header>
          <main>
            ${sections.map(
              ({ title: head, blocks }) =>
                html`<section>
                  <h2>${head}</h2>
                  ${blocks.map(renderBlock)}
                </section>`,
            )}
          </main>
        </body>
      </html> `,
  );
}

function renderBlock(block: KitBlock): Html {
  switch (block.kind) {
    case 'text':
      return html`<p>${block.text}</p>`;
    case 'list':
      return html`<ul>
        ${block.items.map((item) => html`<li>${item}</li>`)}
      </ul>`;
    case 'facts':
      return html`<dl>
        ${block.rows.map(
          ([name, value]) =>
            html`<dt>${name}</dt>
              <dd>${value}</dd>`,
        )}
      </dl>`;
    case 'commands':
      return html`${block.label !== '' && html`<p>${block.label}</p>`}
        <pre>${block.lines.join('\n')}</pre>`;
    case 'code': {
      const modules = qrModules(block.text);
      return html`<figure>
        <svg viewBox="0 0 ${modules.length} ${modules.length}" role="img" aria-label="QR code of the lines beside it">
          <path d="${qrPath(modules)}" />
        </svg>
        <figcaption>${block.label}</figcaption>
      </figure>`;
    }
    default:
      return block satisfies never;
  }
}
