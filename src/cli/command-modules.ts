// The commands as files, in the order of `--help`. Of a command that is named the other files are not loaded: a healthcheck starts the
// program every minute for years, and needs neither what restores nor what shows a snapshot.

import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';

/** Adds commands to the program; `words` are those of a statement. */
type Add = (program: Command, context: CommandContext, words: readonly string[]) => void;

/** The names of the commands in a file, and what adds them; a test holds that they are its names. */
export const commandModules: readonly {
  readonly names: readonly string[];
  readonly load: () => Promise<Add>;
}[] = [
  { names: ['daemon'], load: async () => (await import('./daemon-command.ts')).addDaemonCommand },
  { names: ['run'], load: async () => (await import('./run-command.ts')).addRunCommand },
  { names: ['list', 'verify'], load: async () => (await import('./reading-commands.ts')).addReadingCommands },
  { names: ['compare'], load: async () => (await import('./compare-command.ts')).addCompareCommand },
  { names: ['open'], load: async () => (await import('./open-command.ts')).addOpenCommand },
  { names: ['restore'], load: async () => (await import('./restore-command.ts')).addRestoreCommand },
  { names: ['pitr'], load: async () => (await import('./pitr-command.ts')).addPitrCommand },
  { names: ['drill'], load: async () => (await import('./drill-command.ts')).addDrillCommand },
  { names: ['prune', 'lifecycle'], load: async () => (await import('./retention-commands.ts')).addRetentionCommands },
  { names: ['pin', 'unpin'], load: async () => (await import('./pin-commands.ts')).addPinCommands },
  { names: ['health'], load: async () => (await import('./health-command.ts')).addHealthCommand },
  { names: ['notify'], load: async () => (await import('./notify-command.ts')).addNotifyCommand },
  { names: ['status'], load: async () => (await import('./status-command.ts')).addStatusCommand },
  { names: ['recovery-kit'], load: async () => (await import('./recovery-kit-command.ts')).addRecoveryKitCommand },
  { names: ['keygen', 'adopt'], load: async () => (await import('./signing-commands.ts')).addSigningCommands },
  { names: ['upgrade'], load: async () => (await import('./upgrade-command.ts')).addUpgradeCommand },
  { names: ['config', 'doctor'], load: async () => (await import('./inspection-commands.ts')).addInspectionCommands },
  { names: ['completion'], load: async () => (await import('./completion-command.ts')).addCompletionCommand },
];

/** What adds the command of that name, or all of them where there is none: to help with, to complete, or to correct a slip. */
export async function loadCommands(name: string | undefined): Promise<readonly Add[]> {
  const found = commandModules.filter(({ names }) => names.includes(name ?? ''));
  const wanted = found.length === 0 || name === 'completion' ? commandModules : found;
  return Promise.all(wanted.map(async ({ load }) => load()));
}
