// `health`, for Docker's HEALTHCHECK: status 0 or 1 and nothing else, whatever happens. The document is the assessment itself.

import type { Command } from 'commander';
import { AppError } from '../errors.ts';
import type { Health } from '../health/assess.ts';
import { layOutHint } from '../text/hint.ts';
import { formatMinute, withLocalTimes } from '../text/moment.ts';
import type { Width } from '../text/table.ts';
import { print, type CommandContext } from './command-context.ts';

/** Adds the command. */
export function addHealthCommand(program: Command, context: CommandContext): void {
  program
    .command('health')
    .description('whether every scheduled tier has its backup; for HEALTHCHECK')
    .option('--json', 'print it as one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const health = await context.app.health().catch((error: unknown) => {
        // Docker knows 0 and 1 alone.
        if (error instanceof AppError)
          throw new AppError('unhealthy', error.message, { cause: error, hint: error.hint });
        throw error;
      });
      print(context, {
        json,
        document: health,
        text: renderHealth(health, {
          columns: context.columns(),
          timeZone: context.app.timetable().timeZone,
          program: context.program,
        }),
      });
      if (!health.healthy) {
        throw new AppError('unhealthy', `The backups are not healthy: ${health.status}`, {
          hint: health.warnings[0] === undefined ? 'See: docker compose logs backup.' : 'See the warnings above.',
        });
      }
    });
}

/** Health in a few lines, the first of which says it all. */
export function renderHealth(
  health: Health,
  { columns, timeZone, program }: Width & { readonly timeZone: string; readonly program: string },
): string {
  const at = (moment: string | null): string => (moment === null ? 'never' : formatMinute(moment, timeZone));
  const tiers = Object.entries(health.tiers).map(
    ([tier, { lastSuccessAt, deadlineAt }]) =>
      `  ${tier.padEnd(8)} last ${at(lastSuccessAt)}, next due by ${at(deadlineAt)}`,
  );
  const drill =
    health.drill === null ? [] : [`  drill    ${health.drill.status}, last passed ${at(health.drill.lastSuccessAt)}`];
  const running =
    health.running === null ? [] : [`  running  ${health.running.command} since ${at(health.running.since)}`];
  const drilling =
    health.drilling === null ? [] : [`  drilling ${health.drilling.snapshot} since ${at(health.drilling.since)}`];
  return [
    health.status,
    ...tiers,
    ...drill,
    ...running,
    ...drilling,
    ...health.warnings.map(
      (text) =>
        `  ${layOutHint(`warning: ${withLocalTimes(text, timeZone)}`, { program, columns, indent: 4, firstIndent: 2 })}`,
    ),
    '',
  ].join('\n');
}
