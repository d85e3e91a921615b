// How everything that is opened in a browser looks: the status page and the recovery kit are of one hand. Every colour has 4.5:1
// against what it stands on, in light and in dark (WCAG 2.1, 1.4.3); on paper it is always light.

import { verbatim } from './html.ts';

/** The beginning of a stylesheet. */
export const baseStyle = verbatim`
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b2330; --quiet: #566172; --line: #dfe3ea;
  --good: #11703c; --warn: #8a5300; --bad: #b3261e; --accent: #2f5fd0; --soft: #e8edf8; --gone: #a9c8b5; --void: #e9ecf1; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #12161d; --card: #1b212b; --ink: #e8ebf0; --quiet: #a4aebc;
  --line: #313a48; --good: #5fcf8d; --warn: #f0b450; --bad: #ff8a80; --accent: #8fb0ff; --soft: #242e42; --gone: #33684a;
  --void: #29313d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.25rem; margin: 1rem 0; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
p { margin: .3rem 0; }
ul { margin: .5rem 0 0; padding-left: 1.2rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0 0; font-size: .9rem; }
dt { color: var(--quiet); }
dd { margin: 0; }
h1, h2, li, td, dd, p, .long { overflow-wrap: anywhere; }
@media print { :root { color-scheme: light; } body { background: none; } section { break-inside: avoid; } }
`;
