// `config` and `doctor`: what is set, and whether it will work, each finding with its remedy.

import type { Command } from 'commander';
import { settingsError } from '../config/problem.ts';
import { AppError } from '../errors.ts';
import type { ShownSetting } from '../config/shown.ts';
import type { Finding } from '../doctor/finding.ts';
import { layOutHint } from '../text/hint.ts';
import { formatTable, plural, wrap, type Width } from '../text/table.ts';
import { print, type CommandContext } from './command-context.ts';

/** Adds the commands. */
export function addInspectionCommands(program: Command, context: CommandContext): void {
  const { app, signal } = context;
  program
    .command('config')
    .description('the settings in force, secrets hidden')
    .option('--json', 'print them as one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const { settings, problems } = await app.config(signal);
      print(context, { json, document: settings, text: renderConfig(settings, { columns: context.columns() }) });
      if (problems.length > 0) throw settingsError(problems);
    });

  program
    .command('doctor')
    .description('check everything that can be checked without taking a backup')
    .option('--json', 'print the findings as one JSON document')
    .action(async ({ json }: { json?: boolean }) => {
      const findings = await app.doctor(signal);
      print(context, {
        json,
        document: findings,
        text: renderFindings(findings, { columns: context.columns(), program: context.program }),
      });
      const problems = findings.filter(({ status }) => status === 'problem');
      if (problems.length > 0) {
        throw new AppError(
          'findings',
          `The doctor found ${plural(problems.length, 'problem')}: ${[...new Set(problems.map(({ check }) => check))].join(', ')}`,
          { hint: 'Follow the remedies above.' },
        );
      }
    });
}

/** The settings as a table. */
function renderConfig(settings: readonly ShownSetting[], width: Width): string {
  return formatTable(
    [
      ['SETTING', 'SOURCE', 'VALUE'],
      ...settings.map(({ name, value, source, given, by }) => [
        name,
        source,
        `${value ?? '-'}${given === undefined ? '' : ` (written: ${given})`}${by === undefined ? '' : ` (${by})`}`,
      ]),
    ],
    width,
  );
}

const marks = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' } as const;

const remedyIndent = 12;

/** The findings, remedies below. */
export function renderFindings(
  findings: readonly Finding[],
  { columns, program }: Width & { readonly program: string },
): string {
  return findings
    .map(({ check, status, detail, remedy }) => {
      const found = wrap(`${check}: ${detail}`, { columns, indent: marks.ok.length + 2 });
      const next = remedy === null ? '' : layOutHint(remedy, { program, columns, indent: remedyIndent });
      return `${marks[status]}  ${found}\n${next === '' ? '' : `         -> ${next}\n`}`;
    })
    .join('');
}
