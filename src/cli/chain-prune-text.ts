// What retention does to base backups and log, as `prune` shows it below the snapshots.

import type { ChainPrune } from '../app/chain-pruning.ts';
import { formatBytes } from '../text/format.ts';
import { formatMinute } from '../text/moment.ts';
import { formatTable, plural, wrap, type Width } from '../text/table.ts';

/** The chain of one server. */
export function renderChainPrune(
  { place, systemIdentifier, isFollowed, bases, log, goingBytes, removed, hold }: ChainPrune,
  { dryRun, timeZone, columns }: Width & { readonly dryRun: boolean; readonly timeZone: string },
): string {
  const line = (text: string): string => `  ${wrap(text, { columns, indent: 4, firstIndent: 2 })}\n`;
  const going = bases.filter(({ keep }) => !keep).length;
  const what = `${plural(going, 'base backup')} and ${plural(log.going, 'object')} of the log`;
  return [
    `${wrap(`base backups and log of server ${systemIdentifier}${isFollowed ? '' : ', not followed now'}, in ${place}:`, { columns, indent: 4, firstIndent: 0 })}\n`,
    formatTable(
      bases.map(({ id, endedAt, bytes, keep, reason }) => [
        keep ? '  keep' : '  remove',
        `base ${id}`,
        formatMinute(endedAt, timeZone),
        formatBytes(bytes),
        reason,
      ]),
      { columns },
    ),
    line(`${plural(log.objects, 'object')} of the log, of which ${log.going} ${log.going === 1 ? 'goes' : 'go'}`),
    ...(hold === null ? [] : [line(`HELD: ${hold}`)]),
    dryRun
      ? `  ${what} would be removed (${formatBytes(goingBytes)}); nothing was\n`
      : `  ${plural(removed, 'object')} removed${removed === 0 ? '' : `: ${what} (${formatBytes(goingBytes)})`}\n`,
  ].join('');
}
