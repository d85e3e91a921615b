// `upgrade check | rehearse | run`: into a newer PostgreSQL beside the old one. What is printed last is what a person does
// next, as lines to copy: people have lost instances by doing this from memory.

import type { Command } from 'commander';
import type { CheckResult } from '../checks/check.ts';
import type { UpgradeCheck } from '../app/upgrade-check.ts';
import type { Rehearsal, UpgradeReport } from '../app/upgrade-verb.ts';
import { AppError } from '../errors.ts';
import { formatDuration } from '../text/format.ts';
import { layOutHint } from '../text/hint.ts';
import { formatTable, plural, wrap, type Width } from '../text/table.ts';
import { collect, parseJobs, parseOneOf, readIdentities } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';

interface UpgradeOptions {
  readonly to?: string;
  readonly identity?: readonly string[];
  readonly jobs: number;
  readonly json?: boolean;
}

const actions = ['check', 'rehearse', 'run'] as const;
type Action = (typeof actions)[number];

/** Adds the command. */
export function addUpgradeCommand(program: Command, context: CommandContext): void {
  program
    .command('upgrade')
    .description('move the database into a newer PostgreSQL beside the old one')
    .argument(
      '<action>',
      'check looks at both, rehearse measures, run moves it with Mastodon stopped',
      parseOneOf(actions),
    )
    .option('--to <host>', 'the new server: the name of its service in the compose file, or HOST:PORT')
    .option('--identity <file>', 'age private key, where backups are encrypted', collect)
    .option('--jobs <number>', 'jobs of pg_restore; more than one need scratch space for the plain dump', parseJobs, 1)
    .option('--json', 'print the result as one JSON document')
    .action(async (action: Action, options: UpgradeOptions) => {
      const identities = await readIdentities(options.identity, context);
      if (action === 'check') return lookAtBoth(context, { options, identities });
      const { to } = options;
      if (to === undefined) {
        throw new AppError('usage', `upgrade ${action} does not know the new server`, {
          hint: 'Name it with --to HOST; what to start is printed by the command: mastodon-backup upgrade check.',
        });
      }
      return go(context, { action, to, options, identities });
    });
}

async function lookAtBoth(
  context: CommandContext,
  { options, identities }: { readonly options: UpgradeOptions; readonly identities: readonly string[] },
): Promise<void> {
  const { app, signal } = context;
  const found = await app.upgradeCheck({ to: options.to ?? null, identities, signal });
  print(context, {
    json: options.json,
    document: found,
    text: renderCheck(found, { columns: context.columns(), program: context.program }),
  });
  const wrong = found.findings.filter(({ status }) => status === 'failed');
  if (wrong.length === 0) return;
  throw new AppError('findings', `${plural(wrong.length, 'finding')} in the way of the upgrade`, {
    hint: 'Mend what is marked FAILED above, and look again.',
  });
}

async function go(
  context: CommandContext,
  {
    action,
    to,
    options,
    identities,
  }: {
    readonly action: Exclude<Action, 'check'>;
    readonly to: string;
    readonly options: UpgradeOptions;
    readonly identities: readonly string[];
  },
): Promise<void> {
  const { app, signal } = context;
  const width = { columns: context.columns(), program: context.program };
  using progress = showProgress(context.progress, app.log);
  const request = { to, jobs: options.jobs, identities, signal, onProgress: progress.update };
  const [document, text] =
    action === 'rehearse'
      ? await app.upgradeRehearse(request).then((one) => [one, renderRehearsal(one, to, width)] as const)
      : await app.upgradeRun(request).then((one) => [one, renderReport(one, width)] as const);
  progress[Symbol.dispose]();
  print(context, { json: options.json, document, text });
}

type Look = Width & { readonly program: string };

const signs = { ok: 'ok', failed: 'FAILED', note: 'note' } as const;

/** Below a finding, in characters. */
const remedyIndent = 8;

/** A line each, what is to be done below it. */
export function renderFindings(findings: readonly CheckResult[], { columns, program }: Look): string {
  const widest = Math.max(0, ...findings.map(({ check }) => check.length));
  return findings
    .map(({ check, status, detail, remedy }) => {
      const next =
        remedy === null
          ? ''
          : `${' '.repeat(remedyIndent)}${layOutHint(remedy, { program, columns, indent: remedyIndent })}\n`;
      return `${formatTable([[signs[status].padEnd(signs.failed.length), check.padEnd(widest), detail]], { columns })}${next}`;
    })
    .join('');
}

function renderCheck({ from, to, findings, service }: UpgradeCheck, look: Look): string {
  const next =
    to !== null
      ? []
      : service === null
        ? ['This image has no client of a newer PostgreSQL than the server: build a newer image first.\n']
        : [
            "Paste this below `services:` of Mastodon's docker-compose.yml, and start it:\n",
            `\n${service.text}\n`,
            `  docker compose up -d ${service.name}\n`,
            `  docker compose exec backup mastodon-backup upgrade check --to ${service.name}\n`,
          ];
  return [`From ${from}${to === null ? '' : ` to ${to}`}\n`, renderFindings(findings, look), ...next].join('');
}

function renderRehearsal(rehearsal: Rehearsal, to: string, look: Look): string {
  const { snapshot, serverVersion, durationMs, checks } = rehearsal;
  return [
    `${wrap(`Restored ${snapshot} into PostgreSQL ${serverVersion} in ${formatDuration(durationMs)}, and took it away again. The upgrade takes this time, and that of a dump.`, { columns: look.columns, indent: 0 })}\n`,
    renderFindings(checks, look),
    '\nWhen the hour has come:\n',
    '  docker compose stop web streaming sidekiq\n',
    `  docker compose exec backup mastodon-backup upgrade run --to ${to}\n`,
  ].join('');
}

function renderReport(report: UpgradeReport, look: Look): string {
  const { snapshot, from, to, serverVersion, durationMs, checks, switches } = report;
  const lines = (words: readonly string[]): string => words.map((word) => `  ${word}\n`).join('');
  return [
    `${wrap(`${snapshot} is in PostgreSQL ${serverVersion} at ${to}, and both servers hold the same. Nobody could write for ${formatDuration(durationMs)} of it. The old server, ${from}, is as it was.`, { columns: look.columns, indent: 0 })}\n`,
    renderFindings(checks, look),
    '\nChange in .env.production, and start Mastodon:\n',
    lines(switches.map(({ forward }) => forward)),
    lines(['docker compose up -d']),
    '\nTo go back, as long as nothing is missed that was written since:\n',
    lines(switches.map(({ back }) => back)),
    lines(['docker compose up -d']),
    '\nWhen all is well, so that retention goes on with the new server:\n',
    lines(['docker compose exec backup mastodon-backup prune --accept-new-server']),
  ].join('');
}
