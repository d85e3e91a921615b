// `drill`: does the backup become a working database? The JSON document is the one that is stored; the text has a line for
// every check, status 21 tells a script that one failed, and 22 that not everything was looked at.

import type { Command } from 'commander';
import type { MomentDrill } from '../app/moment-drill.ts';
import { AppError } from '../errors.ts';
import type { DrillDocument } from '../drill/drill-record.ts';
import { formatDuration } from '../text/format.ts';
import { layOutHint } from '../text/hint.ts';
import { withLocalTimes } from '../text/moment.ts';
import { wrap, type Width } from '../text/table.ts';
import { collect, parseStore, readSource, snapshotForms, type SourceOptions } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';

interface DrillOptions extends SourceOptions {
  readonly pitr?: boolean;
  readonly wait?: boolean;
  readonly json?: boolean;
}

/** Adds the command. */
export function addDrillCommand(program: Command, context: CommandContext): void {
  const { app } = context;
  program
    .command('drill')
    .description('restore a snapshot into a throw-away server and check that it is a working Mastodon')
    .argument('[snapshot]', snapshotForms, 'latest')
    .option('--pitr', 'the newest moment of base backup and log, instead of a snapshot')
    .option('--identity <file>', 'age private key, for an encrypted snapshot', collect)
    .option('--from <store>', 's3 or local', parseStore)
    .option('--accept-unsigned', 'take what nobody who is trusted has signed for ours')
    .option('--instance <name>', 'which instance, when several share the prefix')
    .option('--wait', 'wait while another drill holds the lock')
    .option('--json', 'print the report as one JSON document')
    .action(async (snapshot: string, options: DrillOptions, command: Command) => {
      if (options.pitr === true && command.args.length > 0) {
        throw new AppError('usage', 'A snapshot and the newest moment cannot both be drilled', {
          hint: 'Write either a snapshot or --pitr.',
        });
      }
      using progress = showProgress(context.progress, app.log);
      const source = {
        ...(await readSource(options, context)),
        wait: options.wait === true,
        onProgress: progress.update,
      };
      const document =
        options.pitr === true ? named(await app.drillMoment(source)) : await app.drill({ ...source, snapshot });
      progress[Symbol.dispose]();
      const look = { program: context.program, timeZone: app.timetable().timeZone };
      print(context, {
        json: options.json,
        document,
        text: renderDrill(document, { ...look, columns: context.columns() }),
      });
      if (document.status === 'failed') {
        const first = document.checks.find(({ status }) => status === 'failed');
        throw new AppError('drill', `The drill of ${document.snapshot} failed: ${first?.check}: ${first?.detail}`, {
          hint: first?.remedy ?? 'Run a new backup and drill again.',
        });
      }
      if (document.status !== 'passed') {
        // What was not looked at is not proven; a script that reads the status alone must not take it for that.
        const why = document.checks.find(({ status, remedy }) => status === 'note' && remedy !== null);
        const reason = why ?? document.checks.find(({ status }) => status === 'note');
        const detail = reason === undefined ? '' : `: ${reason.detail}`;
        throw new AppError('undrilled', `The drill of ${document.snapshot} was ${document.status}${detail}`, {
          hint: reason?.remedy ?? 'Mend what the report names, and drill again.',
        });
      }
    });
}

const signs = { ok: 'ok', failed: 'FAILED', note: 'note' } as const;

function named(drilled: MomentDrill): MomentDrill & { readonly snapshot: string } {
  return { ...drilled, snapshot: `the newest moment (base ${drilled.moment?.base ?? 'unknown'})` };
}

/** The report. */
export function renderDrill(
  document: Pick<DrillDocument, 'snapshot' | 'serverVersion' | 'durationMs' | 'status' | 'checks'>,
  { program, columns, timeZone }: Pick<CommandContext, 'program'> & Width & { readonly timeZone: string },
): string {
  const server = document.serverVersion === null ? '' : ` into PostgreSQL ${document.serverVersion}`;
  const time = document.durationMs === null ? '' : `, recovered in ${formatDuration(document.durationMs)}`;
  return [
    wrap(`Drill of ${document.snapshot}${server}: ${document.status}${time}`, { columns, indent: 2, firstIndent: 0 }),
    ...document.checks.map(({ check, status, detail, remedy }) => {
      const told = `${check}: ${withLocalTimes(detail, timeZone)}`;
      const found = `  ${signs[status].padEnd(6)} ${wrap(told, { columns, indent: remedyIndent })}`;
      if (remedy === null) return found;
      return `${found}\n${' '.repeat(remedyIndent)}${layOutHint(remedy, { program, indent: remedyIndent, columns })}`;
    }),
    '',
  ].join('\n');
}

const remedyIndent = 9;
