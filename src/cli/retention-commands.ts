// `prune` and `lifecycle`: retention by hand, shown without doing it as a calendar that a person can check, or left to the
// bucket, whose rules are shown as text to enter by hand where the token may not.

import { InvalidArgumentError, type Command } from 'commander';
import { AppError } from '../errors.ts';
import type { ChainPrune } from '../app/chain-pruning.ts';
import type { PlacePrune } from '../app/pruning.ts';
import { dumpOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import type { Verdict } from '../retention/policy.ts';
import { formatBytes } from '../text/format.ts';
import { folders, type Folder } from '../schedule/tier.ts';
import { layOutHint } from '../text/hint.ts';
import { formatMinute, formatWeekday } from '../text/moment.ts';
import { formatTable, wrap, type Width, plural } from '../text/table.ts';
import type { LifecycleReport } from '../app/lifecycle-verb.ts';
import type { BucketRule, LifecycleRule } from '../storage/store.ts';
import { renderChainPrune } from './chain-prune-text.ts';
import { print, type CommandContext } from './command-context.ts';

/** Adds the commands. */
export function addRetentionCommands(program: Command, context: CommandContext): void {
  program
    .command('prune')
    .description('apply retention; every line says why a snapshot stays or goes')
    .option('--dry-run', 'show it, remove nothing')
    .option('--accept-new-server', 'the database has moved: judge the snapshots of its earlier server like our own')
    .option('--accept-place', 'take the destinations as they are: what is missing there was removed on purpose')
    .option('--json', 'print the result as one JSON document')
    .action(async (options: { dryRun?: boolean; acceptNewServer?: boolean; acceptPlace?: boolean; json?: boolean }) => {
      const dryRun = options.dryRun === true;
      const acceptNewServer = options.acceptNewServer === true;
      const acceptPlace = options.acceptPlace === true;
      const request = { dryRun, acceptNewServer, acceptPlace, signal: context.signal };
      const results = await context.app.prune(request);
      // What is wrong with a destination is said of the snapshots first.
      const [done] = await Promise.allSettled([context.app.pruneChains(request)]);
      const chains = done.status === 'fulfilled' ? done.value : [];
      const view = {
        dryRun,
        columns: context.columns(),
        timeZone: context.app.timetable().timeZone,
        program: context.program,
      };
      print(context, {
        json: options.json,
        document: pruneDocument(results, { dryRun, chains }),
        text: `${renderPrune(results, view)}${chains.map((chain) => `\n${renderChainPrune(chain, view)}`).join('')}`,
      });
      const failed = results.find(({ error }) => error !== null);
      if (failed !== undefined) {
        throw new AppError('store', `Retention could not be carried out in ${failed.place}: ${failed.error}`, {
          hint: 'Check the store with the command: mastodon-backup doctor; what was not removed stays until the next time.',
        });
      }
      if (done.status === 'rejected') throw done.reason;
    });

  program
    .command('lifecycle')
    .description('bucket rules that match the retention; `apply` puts them in place')
    .argument('[action]', 'show or apply', parseAction, 'show')
    .option('--json', 'print the result as one JSON document')
    .action(async (action: 'show' | 'apply', { json }: { json?: boolean }) => {
      const { app, signal } = context;
      try {
        const report = action === 'show' ? await app.showLifecycle(signal) : await app.applyLifecycle(signal);
        print(context, { json, document: report, text: renderLifecycle(report) });
      } catch (error) {
        if (action === 'show' || !(error instanceof AppError) || error.code !== 'store') throw error;
        // Without the right to change them a person can.
        const report = await app.showLifecycle(signal);
        print(context, { json, document: report, text: renderLifecycle(report) });
        throw new AppError('store', error.message, {
          cause: error,
          hint: "Enter the rules above in the bucket's dashboard, or use a token that may change the bucket.",
        });
      }
    });
}

function parseAction(text: string): 'show' | 'apply' {
  if (text !== 'show' && text !== 'apply') throw new InvalidArgumentError('Write show or apply.');
  return text;
}

interface Lines extends Partial<Width> {
  readonly dryRun: boolean;
  /** Left out: UTC. */
  readonly timeZone?: string;
  /** How this program is called where it is read. */
  readonly program: string;
}

/** The JSON document of `prune --json`. */
function pruneDocument(
  results: readonly PlacePrune[],
  { dryRun, chains }: { readonly dryRun: boolean; readonly chains: readonly ChainPrune[] },
): object {
  return {
    dryRun,
    chains,
    destinations: results.map(({ place, plan, removed, error }) => ({
      place,
      error,
      holds: plan?.holds ?? [],
      removed: removed.map(snapshotName),
      snapshots: (plan?.verdicts ?? []).map((verdict) => ({
        snapshot: snapshotName(verdict.snapshot),
        dataAt: verdict.snapshot.dataAt,
        bytes: dumpOf(verdict.snapshot).bytes,
        keep: verdict.keep || plan?.remove.includes(verdict.snapshot) !== true,
        reason: verdict.reason,
      })),
    })),
  };
}

/** The result of `prune` as text. */
export function renderPrune(results: readonly PlacePrune[], options: Lines): string {
  return results.map((result) => renderPlace(result, options)).join('\n');
}

function renderPlace({ place, plan, removed, error }: PlacePrune, options: Lines): string {
  const { dryRun, columns = Number.POSITIVE_INFINITY } = options;
  const line = (text: string): string =>
    `  ${layOutHint(text, { program: options.program, columns, indent: 4, firstIndent: 2 })}\n`;
  const verdicts = plan?.verdicts ?? [];
  const bytes = (list: readonly Manifest[]): string =>
    formatBytes(list.reduce((sum, manifest) => sum + dumpOf(manifest).bytes, 0));
  const planned = plan?.remove ?? [];
  return [
    `${wrap(`${place}:`, { columns, indent: 4, firstIndent: 0 })}\n`,
    ...(columns < widest
      ? folders.map((tier) => renderTier(tier, { verdicts, planned, ...options }))
      : [formatTable(verdicts.map((verdict) => renderVerdict(verdict, { ...options, planned })))]),
    ...(plan?.verdicts.length === 0 ? [line('no snapshots')] : []),
    ...(plan?.holds ?? []).map((hold) =>
      line(`HELD${hold.tier === null ? '' : ` (${hold.tier})`}: ${hold.reason}. ${hold.remedy}`),
    ),
    ...(error === null ? [] : [line(`FAILED: ${error}`)]),
    dryRun
      ? `  ${planned.length} would be removed (${bytes(planned)}); nothing was\n`
      : `  ${removed.length} removed (${bytes(removed)})\n`,
  ].join('');
}

/** Below this width there is a line for the tier, and a line for each of its snapshots, whose names hold the time. */
const widest = 120;

function renderTier(
  tier: Folder,
  options: Lines & { readonly verdicts: readonly Verdict<Manifest>[]; readonly planned: readonly Manifest[] },
): string {
  const { columns = Number.POSITIVE_INFINITY } = options;
  const own = options.verdicts.filter(({ snapshot }) => snapshot.tier === tier);
  if (own.length === 0) return '';
  const rows = own.map((verdict) => {
    const [verb = '', , , id = '', , reason = ''] = renderVerdict(verdict, options);
    return [verb, id, reason];
  });
  return `  ${tier}, named by their time in UTC\n${formatTable(rows, { columns })}`;
}

function renderVerdict(
  { snapshot, keep, reason }: Verdict<Manifest>,
  { planned, timeZone = 'UTC' }: Lines & { readonly planned: readonly Manifest[] },
): readonly string[] {
  const verb = planned.includes(snapshot) ? 'remove' : 'keep';
  const held = !keep && verb === 'keep' ? ', held' : '';
  const when = `${formatWeekday(snapshot.dataAt, timeZone)} ${formatMinute(snapshot.dataAt, timeZone)}`;
  return [
    `  ${verb.padEnd(6)}`,
    snapshot.tier,
    when,
    snapshot.id,
    formatBytes(dumpOf(snapshot).bytes),
    `${reason}${held}`,
  ];
}

/** The comparison as text. */
function renderLifecycle(report: LifecycleReport): string {
  const { present, inPlace, conflicts, inexpressible } = report;
  const lines = [`${report.place}, BACKUP_RETENTION=${report.mode}`, 'Rules of the bucket:'];
  if (present === null) lines.push('  this token may not look at them');
  if (present?.length === 0) lines.push('  none');
  for (const rule of present ?? []) lines.push(`  ${renderPresent(rule)}`);
  lines.push('Rules that match the settings:', ...renderWanted(report.wanted));
  if (inPlace === true) lines.push('They are in place.');
  if (inPlace === false) lines.push('They are not all in place. Put them there with: mastodon-backup lifecycle apply');
  if (inPlace === null) lines.push("Enter them in the bucket's dashboard (R2: Settings, Object lifecycle rules).");
  for (const conflict of conflicts) lines.push(`CONFLICT: ${conflict}`);
  for (const tier of inexpressible)
    lines.push(`NOTE: no bucket rule can keep a number of ${tier} snapshots; they stay for ever.`);
  if (report.mode === 'lifecycle')
    lines.push(
      'NOTE: bucket rules know nothing of outages: they delete by age alone, the last backup too.',
      'NOTE: bucket rules know nothing of pins: what is pinned goes like everything else.',
    );
  return `${lines.join('\n')}\n`;
}

/** The wanted rules, a line each, as they can be entered by hand. */
function renderWanted(rules: readonly BucketRule[]): readonly string[] {
  return rules.map(
    ({ id, prefix, expireDays, abortIncompleteDays, noncurrentDays }) =>
      `  ${id}: prefix '${prefix}', ${expireDays === null ? '' : `delete objects after ${plural(expireDays, 'day')}, `}abort incomplete multipart uploads after ${plural(abortIncompleteDays, 'day')}${noncurrentDays === undefined ? '' : `, delete noncurrent versions after ${plural(noncurrentDays, 'day')}`}`,
  );
}

function renderPresent({
  id,
  prefix,
  enabled,
  expireDays,
  abortIncompleteDays,
  noncurrentDays,
}: LifecycleRule): string {
  const does = [
    ...(expireDays === null ? [] : [`deletes after ${plural(expireDays, 'day')}`]),
    ...(abortIncompleteDays === null ? [] : [`aborts uploads after ${plural(abortIncompleteDays, 'day')}`]),
    ...(noncurrentDays === undefined ? [] : [`deletes older versions after ${plural(noncurrentDays, 'day')}`]),
  ];
  return `${id ?? '(no name)'}: prefix '${prefix}', ${does.length === 0 ? 'something else' : does.join(', ')}${enabled ? '' : ' (off)'}`;
}
