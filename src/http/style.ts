// The stylesheet, served from our own path so that no page needs inline style. Every colour has 4.5:1 against what it stands on,
// in light and in dark (WCAG 2.1, 1.4.3).

/** The stylesheet of all pages. */
export const style = `
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --ink: #1b2330; --quiet: #566172; --line: #dfe3ea;
  --good: #11703c; --warn: #8a5300; --bad: #b3261e; --accent: #2f5fd0; --soft: #e8edf8; --gone: #a9c8b5; --void: #e9ecf1; }
@media (prefers-color-scheme: dark) { :root { --page: #12161d; --card: #1b212b; --ink: #e8ebf0; --quiet: #a4aebc;
  --line: #313a48; --good: #5fcf8d; --warn: #f0b450; --bad: #ff8a80; --accent: #8fb0ff; --soft: #242e42; --gone: #33684a;
  --void: #29313d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main, header, footer { max-width: 64rem; margin: 0 auto; padding: 0 1rem; }
header { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .25rem 1rem; padding-top: 1rem; }
header p, footer p { margin: 0; }
header, footer, .quiet { color: var(--quiet); }
footer { padding: 1.5rem 1rem 2.5rem; font-size: .875rem; }
a { color: var(--accent); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1rem 1.25rem; margin: 1rem 0; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.05rem; margin: 0 0 .6rem; }
h2.name { font-size: 1rem; margin: 0; }
h2.name::first-letter { text-transform: capitalize; }
p { margin: .3rem 0; }
.verdict { display: flex; gap: 1rem; align-items: flex-start; border-left: 6px solid var(--tone); }
.sign { flex: none; width: 3rem; height: 3rem; border-radius: 50%; background: var(--tone); color: var(--card);
  display: grid; place-items: center; font-size: 1.7rem; font-weight: 700; }
.starting, .degraded, .incomplete, .skipped { --tone: var(--warn); }
.healthy, .passed { --tone: var(--good); }
.late, .failed { --tone: var(--bad); }
.tone { color: var(--tone); font-weight: 600; }
ul { margin: .5rem 0 0; padding-left: 1.2rem; }
li, td, dd, p, .long { overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); gap: 1rem; }
.cards section { margin: 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.25rem 2rem; }
.big { font-size: 1.5rem; font-weight: 600; line-height: 1.2; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .5rem 0 0; font-size: .9rem; }
dt { color: var(--quiet); }
dd { margin: 0; }
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
@media print { body { background: none; } section { break-inside: avoid; } }
`;
