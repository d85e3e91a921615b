// The stylesheet of the status page, served from our own path so that no page needs inline style.

import { baseStyle } from '../text/base-style.ts';
import { toText } from '../text/html.ts';

/** The stylesheet of all pages. */
export const style = `${toText(baseStyle)}
header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .25rem 1rem; padding-top: 1rem; }
header p, footer p { margin: 0; }
header, footer, .quiet { color: var(--quiet); }
footer { padding: 1.5rem 1rem 2.5rem; font-size: .875rem; }
a { color: var(--accent); }
h2.name { font-size: 1rem; margin: 0; }
h2.name::first-letter { text-transform: capitalize; }
.verdict { display: flex; gap: 1rem; align-items: flex-start; border-left: 6px solid var(--tone); }
.sign { flex: none; width: 3rem; height: 3rem; border-radius: 50%; background: var(--tone); color: var(--card);
  display: grid; place-items: center; font-size: 1.7rem; font-weight: 700; }
.starting, .degraded, .incomplete, .skipped { --tone: var(--warn); }
.healthy, .passed { --tone: var(--good); }
.late, .failed { --tone: var(--bad); }
.tone { color: var(--tone); font-weight: 600; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 1rem; }
.cards section { margin: 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.25rem 2rem; }
.big { font-size: 1.5rem; font-weight: 600; line-height: 1.2; }
.slots { letter-spacing: .15em; }
progress { width: 100%; height: .8rem; accent-color: var(--accent); }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-top: 1px solid var(--line); }
thead th { border-top: 0; color: var(--quiet); font-weight: 500; white-space: nowrap; }
td.name { min-width: 9rem; }
figure { margin: 0; }
figcaption { font-size: .9rem; margin-bottom: .3rem; }
figure svg { display: block; width: 100%; }
.plot { height: 6rem; }
.plot .area { fill: var(--soft); }
.plot .mark { fill: none; stroke: var(--accent); stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linejoin: round; }
.axis { display: flex; justify-content: space-between; font-size: .8rem; color: var(--quiet); }
.year { display: flex; flex-wrap: wrap; gap: .5rem 0; }
.year svg { flex: 1 1 18rem; min-width: 0; }
.day-kept { fill: var(--good); } .day-gone { fill: var(--gone); } .day-failed, .day-missed { fill: var(--bad); }
.day-none, .day-unknown { fill: var(--void); } .day-today { fill: none; stroke: var(--accent); }
.cross { stroke: var(--card); stroke-width: 1.6; fill: none; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: .85rem; color: var(--quiet); margin-top: .5rem; }
.legend svg { width: 11px; height: 11px; vertical-align: -1px; margin-right: .35rem; }
/* On a phone a row is a paragraph: four columns of it would be a letter wide. */
@media (max-width: 40rem) {
  section { padding: .85rem 1rem; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tbody, table { display: block; }
  tr { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .5rem 0; border-top: 1px solid var(--line); }
  tbody tr:first-child { border-top: 0; padding-top: 0; }
  td { padding: 0; border: 0; }
  td.name, td.long { flex: 0 0 100%; }
  td[data-head]::before { content: attr(data-head) ' '; color: var(--quiet); }
}
`;
