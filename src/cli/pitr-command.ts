// `pitr status | base | verify`: what of the past can be had, a base backup now, and whether all that is stored is what it should be.
// What is said of moments is in the zone of the settings.

import type { Command } from 'commander';
import type { BaseReport } from '../app/base-backups.ts';
import type { ChainStatus, PitrStatus } from '../app/pitr-status-verb.ts';
import type { PitrVerification } from '../app/pitr-verify-verb.ts';
import { AppError } from '../errors.ts';
import { formatBytes, formatDuration, formatSpan } from '../text/format.ts';
import { formatSecond, wholeSecondAfter } from '../text/moment.ts';
import { plural } from '../text/table.ts';
import { collect, parseOneOf, parseStore, readSource, type SourceOptions } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';

interface PitrOptions extends SourceOptions {
  readonly wait?: boolean;
  readonly json?: boolean;
}

const actions = ['status', 'base', 'verify'] as const;
type Action = (typeof actions)[number];

// What each takes: an option of another would be passed over in silence.
const optionsOf: Readonly<Record<Action, readonly string[]>> = {
  status: ['--json'],
  base: ['--json', '--wait'],
  verify: ['--json', '--identity', '--from', '--instance'],
};

/** Adds the command. */
export function addPitrCommand(program: Command, context: CommandContext): void {
  program
    .command('pitr')
    .description('any moment of the last days: what can be had, and base backups')
    .argument(
      '<action>',
      'status says from when until when, and what is missing; base makes a base backup; verify reads all of it back',
      parseOneOf(actions),
    )
    .option('--wait', 'base: wait while another base backup is made')
    .option('--identity <file>', 'verify: age private key; without one what is encrypted is not decoded', collect)
    .option('--from <store>', 'verify: s3 or local', parseStore)
    .option('--instance <name>', 'verify: which instance, when several share the prefix')
    .option('--json', 'print the result as one JSON document')
    .action(async (action: Action, options: PitrOptions, command: Command) => {
      const foreign = command.options.find(
        (option) =>
          command.getOptionValueSource(option.attributeName()) === 'cli' &&
          !optionsOf[action].includes(option.long ?? ''),
      );
      if (foreign !== undefined) {
        throw new AppError('usage', `pitr ${action} has no ${foreign.long}`, {
          hint: `Leave it out: mastodon-backup pitr ${action}.`,
        });
      }
      switch (action) {
        case 'status':
          return showStatus(context, options);
        case 'base':
          return makeBase(context, options);
        case 'verify':
          return verifyChains(context, options);
        default:
          return action satisfies never;
      }
    });
}

async function showStatus(context: CommandContext, { json }: PitrOptions): Promise<void> {
  const { app, signal } = context;
  const document = await app.pitrStatus(signal);
  print(context, { json, document, text: renderStatus(document, app.timetable()) });
}

async function makeBase(context: CommandContext, { wait, json }: PitrOptions): Promise<void> {
  const { app, signal } = context;
  using progress = showProgress(context.progress, app.log);
  const document = await app.pitrBase({ wait: wait === true, signal, onProgress: progress.update });
  progress[Symbol.dispose]();
  print(context, { json, document, text: renderBase(document, app.timetable()) });
}

async function verifyChains(context: CommandContext, options: PitrOptions): Promise<void> {
  const { app } = context;
  using progress = showProgress(context.progress, app.log);
  const document = await app.verifyPitr({
    ...(await readSource(options, context)),
    onProgress: progress.update,
  });
  progress[Symbol.dispose]();
  print(context, { json: options.json, document, text: renderVerification(document) });
  const wrong = document.chains.flatMap(({ problems, gaps }) => [...problems, ...gaps]).length;
  if (wrong > 0)
    throw new AppError(
      'verify',
      `Not every moment can be had: ${plural(wrong, 'thing')} of base backups and log ${wrong === 1 ? 'is' : 'are'} damaged or missing`,
      {
        reason: 'damaged-object',
        hint: 'Make a new base with: mastodon-backup pitr base. From its end on every moment can be had again.',
      },
    );
}

interface Zone {
  readonly timeZone: string;
}

function renderStatus({ isOn, place, following, obstacle, latest, chains }: PitrStatus, { timeZone }: Zone): string {
  return [
    `Point-in-time recovery is ${isOn ? 'on' : 'off'} (BACKUP_PITR); log and base backups are in ${place}`,
    ...(following === null ? ['No log has been followed from here yet'] : renderFollowing(following, timeZone)),
    ...(obstacle === null ? [] : [`Problem: ${obstacle}`]),
    ...(chains.length === 0
      ? ['Nothing is stored yet: no moment can be had']
      : chains.flatMap((one) => renderChain(one, timeZone))),
    ...(latest === null || chains.length < 2
      ? []
      : [
          `note: of ${plural(chains.length, 'server')} something is stored; restore --at and drill --pitr take ${latest}, whose base backup is the newest`,
        ]),
    '',
  ].join('\n');
}

function renderFollowing(following: NonNullable<PitrStatus['following']>, timeZone: string): readonly string[] {
  const { slot, withoutSlot, problem, historyProblem, coveredAt, lagSeconds, behindBytes } = following;
  const kept = slot?.keptBytes ?? null;
  const limit = slot?.limitBytes ?? null;
  return [
    coveredAt === null
      ? 'Nothing of the log is stored yet'
      : `Stored: everything until ${formatSecond(coveredAt, timeZone)}, ${formatSpan((lagSeconds ?? 0) * 1_000)} ago${behindBytes === null || behindBytes === 0 ? '' : `; ${formatBytes(behindBytes)} are not stored yet`}`,
    slot === null
      ? `Slot: none${withoutSlot === null ? '' : `: ${withoutSlot}`}`
      : `Slot: ${slot.name}, ${slot.status}; the server keeps ${kept === null ? 'nothing' : formatBytes(kept)} for us${limit === null ? '' : ` of at most ${formatBytes(limit)}`}`,
    ...[historyProblem ?? null, problem].flatMap((one) => (one === null ? [] : [`Problem: ${one}`])),
  ];
}

function renderChain(chain: ChainStatus, timeZone: string): readonly string[] {
  const { systemIdentifier, isFollowed, restorableFrom, restorableTo, bases, segments, bytes, gaps, damaged } = chain;
  const until = restorableTo === null ? 'the newest that is stored' : formatSecond(restorableTo, timeZone);
  return [
    `Server ${systemIdentifier}${isFollowed ? '' : ' (not followed now)'}: ${
      restorableFrom === null
        ? 'no moment can be had'
        : `every moment from ${formatSecond(wholeSecondAfter(restorableFrom), timeZone)} to ${until}`
    }`,
    `  ${plural(bases.length, 'base backup')} and ${plural(segments, 'segment')} of the log, ${formatBytes(bytes)} in all`,
    ...bases.map(
      ({ id, endedAt, bytes: size, serverVersion }) =>
        `  base ${id}: PostgreSQL ${serverVersion}, ${formatBytes(size)}, whole at ${formatSecond(wholeSecondAfter(endedAt), timeZone)}`,
    ),
    ...damaged.map(({ id, reason }) => `  base ${id} counts for nothing: ${reason}`),
    ...gaps.map((gap) => `  gap: ${gap}`),
  ];
}

function renderVerification({ place, chains }: PitrVerification): string {
  return chains
    .flatMap(({ systemIdentifier, bases, segments, bytes, decoded, problems, gaps, notes }) => [
      `Server ${systemIdentifier} in ${place}: ${plural(bases.length, 'base backup')} and ${plural(segments, 'segment')} of the log, ${formatBytes(bytes)} read back`,
      decoded
        ? '  decoded to the end, the log read record by record'
        : '  NOT decoded: it is encrypted and there is no --identity; damage inside the log would not show',
      ...problems.map(({ object, problem }) => `  PROBLEM: ${object}: ${problem}`),
      ...gaps.map((gap) => `  GAP: ${gap}`),
      ...notes.map((note) => `  note: ${note}`),
      ...(problems.length + gaps.length === 0 ? ['  nothing is damaged, and nothing is missing'] : []),
      '',
    ])
    .join('\n');
}

function renderBase(
  { id, place, restorableFrom, objectBytes, dataBytes, durationMs }: BaseReport,
  { timeZone }: Zone,
): string {
  return [
    `Base backup ${id} is in ${place}: ${formatBytes(objectBytes)} of ${formatBytes(dataBytes)}, in ${formatDuration(durationMs)}`,
    `Every moment from ${formatSecond(wholeSecondAfter(restorableFrom), timeZone)} on can be had with: mastodon-backup restore --at TIME`,
    '',
  ].join('\n');
}
