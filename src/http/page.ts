// What all pages have: head, title and icon that carry the verdict, so that a pinned tab tells.

import { html, toText, type Html } from '../text/html.ts';

/** A page as text. `icon` is a word of `icons`. */
export function page(parts: {
  readonly title: string;
  readonly icon: string;
  readonly header: Html;
  readonly body: Html;
  readonly footer: Html;
}): string {
  return toText(
    html`<!doctype html>
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="robots" content="noindex" />
          <title>${parts.title}</title>
          <link rel="stylesheet" href="/style.css" />
          <link rel="icon" type="image/svg+xml" href="/icon/${parts.icon}.svg" />
        </head>
        <body>
          <header>${parts.header}</header>
          <main>${parts.body}</main>
          <footer>${parts.footer}</footer>
        </body>
      </html> `,
  );
}

const colours: Readonly<Record<string, string>> = { good: '#11703c', warn: '#b36b00', bad: '#b3261e' };
const signs: Readonly<Record<string, string>> = {
  good: 'M9 17l5 5 10-12',
  warn: 'M16 7v11M16 23.5v.5',
  bad: 'M10 10l12 12M22 10L10 22',
};

/** The icon of that name; null: there is none. */
export function icon(name: string): string | null {
  if (!Object.hasOwn(colours, name)) return null;
  return toText(
    html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
      <circle cx="16" cy="16" r="16" fill="${colours[name] ?? ''}" />
      <path
        d="${signs[name] ?? ''}"
        fill="none"
        stroke="#fff"
        stroke-width="4"
        stroke-linecap="round"
        stroke-linejoin="round"
      />
    </svg>`,
  );
}
