// `config` and `doctor`: what is set, and whether it will work, each finding with its remedy.

import type { Command } from 'commander';
import { settingsError } from '../config/problem.ts';
import { AppError } from '../errors.ts';
import type { ShownSetting } from '../config/shown.ts';
import type { Finding } from '../doctor/finding.ts';
import { formatTable, type Width } from '../text/table.ts';
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
      print(context, { json, document: findings, text: renderFindings(findings) });
      const problems = findings.filter(({ status }) => status === 'problem');
      if (problems.length > 0) {
        throw new AppError(
          'findings',
          `The doctor found ${problems.length} problems: ${problems.map(({ check }) => check).join(', ')}`,
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
      ...settings.map(({ name, value, source, given }) => [
        name,
        source,
        `${value ?? '-'}${given === undefined ? '' : ` (written: ${given})`}`,
      ]),
    ],
    width,
  );
}

const marks = { ok: 'ok     ', warning: 'warning', problem: 'PROBLEM' } as const;

/** The findings, one line each, remedies below. */
function renderFindings(findings: readonly Finding[]): string {
  return findings
    .map(
      ({ check, status, detail, remedy }) =>
        `${marks[status]}  ${check}: ${detail}\n${remedy === null ? '' : `         -> ${remedy}\n`}`,
    )
    .join('');
}
