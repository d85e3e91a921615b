// The stylesheet of the recovery kit. On a screen it is the status page's; on paper it is as small as one can read by lamplight
// and leaves boxes away, for whoever types it off has few pages and no second try.

import { baseStyle } from '../text/base-style.ts';
import { verbatim } from '../text/html.ts';

/** All of it, to stand in the document itself. */
export const kitStyle = verbatim`${baseStyle}
header { padding-top: 1.5rem; }
main { padding-bottom: 2rem; }
/* Where a command goes on in a further line it is set in, so that it is not taken for a second one. */
pre { font: 13px/1.45 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; text-indent: 2em hanging each-line;
  margin: .3rem 0 .8rem; padding: .5rem .75rem; background: var(--soft); border-radius: 6px; }
/* Black on white by night too: a scanner wants it so. */
figure { float: right; margin: 0 0 .5rem 1rem; text-align: center; }
section:has(figure) { display: flow-root; }
figure svg { width: 15rem; max-width: 100%; background: #fff; shape-rendering: crispEdges; display: block; }
figure path { fill: #000; }
pre:last-child { margin-bottom: 0; }
@media (max-width: 40rem) { figure { float: none; margin: .5rem 0; } section { padding: .85rem 1rem; } dl { display: block; } dd { margin-bottom: .4rem; } }
@page { size: A4; margin: 10mm 12mm 12mm;
  @bottom-right { content: counter(page) ' / ' counter(pages); font: 8pt system-ui, sans-serif; } }
@media print {
  html { font-size: 9pt; }
  body { font-size: 8pt; line-height: 1.3; }
  header, main { max-width: none; padding: 0; }
  section { border: 0; border-top: 1px solid var(--quiet); border-radius: 0; padding: 1mm 0 0; margin: 1.6mm 0 0;
    break-inside: auto; }
  h1 { font-size: 14pt; }
  h2 { font-size: 10pt; margin: 0 0 .5mm; }
  p, ul, dl { margin: .4mm 0; }
  dl { gap: 0 4mm; display: grid; }
  dd { margin: 0; }
  pre { font-size: 7pt; line-height: 1.25; background: none; border-left: 2px solid var(--quiet); border-radius: 0;
    padding: 0 0 0 2mm; margin: .3mm 0 .7mm; }
  h2, p:has(+ pre) { break-after: avoid; }
  pre, li, figure { break-inside: avoid; }
  figure { margin: 0 0 0 3mm; }
  figure svg { width: 42mm; }
}
`;
