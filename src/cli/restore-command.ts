// `restore`: a snapshot, or a moment, back into a database, a file, a data directory, or the env file that belongs to it. Exactly one
// goal is taken: what was meant for a file must never go into a database.

import { Option, type Command } from 'commander';
import { AppError } from '../errors.ts';
import { furthestAhead } from '../restore/sequences-ahead.ts';
import type { ExtraReport, FileReport } from '../app/restore-verb.ts';
import {
  collect,
  parseCount,
  parseJobs,
  parseStore,
  readSource,
  snapshotForms,
  snapshotHint,
  type SourceOptions,
} from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { renderDataDirectory, renderMoment } from './moment-text.ts';
import { showProgress } from './progress-bar.ts';
import { renderFile, renderRestore } from './restore-text.ts';

interface RestoreOptions extends SourceOptions {
  readonly at?: string;
  readonly dataDirectory?: string;
  readonly before?: string;
  readonly toDatabase?: string;
  readonly replace?: string | true;
  readonly output?: string;
  readonly secretsOutput?: string;
  readonly extraOutput?: string;
  readonly jobs: number;
  readonly schema?: readonly string[];
  readonly withoutExtension?: readonly string[];
  readonly createRole?: boolean;
  readonly owner?: string;
  readonly locale?: string;
  readonly ignoreSecrets?: boolean;
  readonly sequencesAhead?: number;
  readonly wait?: boolean;
  readonly json?: boolean;
}

/** Adds the command. */
export function addRestoreCommand(program: Command, context: CommandContext): void {
  const { app } = context;
  program
    .command('restore')
    .description(
      "restore a snapshot, or a moment: into a database, as a plain archive, or what lies beside it: Mastodon's settings, extra files",
    )
    .argument('[snapshot]', snapshotForms)
    .option('--before <time>', "the latest with data from before then: '2026-11-23 13:00', in BACKUP_TIMEZONE")
    .option('--at <time>', "a moment, instead of a snapshot: '2026-11-25 14:31:07', or latest; needs BACKUP_PITR")
    .option('--data-directory <dir>', "with --at: a data directory for the database's own server, which replays it")
    .option('--to-database <name>', 'into a database of this name, which it creates or finds empty')
    .option('--replace [name]', 'move a database with tables out of the way as NAME_before_<time>; never drops it')
    .option('--output <file>', 'write the plain pg_dump archive; - is stdout')
    .option('--secrets-output <file>', "write Mastodon's settings as an env file; - is stdout")
    .option(
      '--extra-output <directory>',
      'write the extra files into a new or empty directory; - is their tar on stdout',
    )
    .option('--jobs <number>', 'jobs of pg_restore; more than one need scratch space for the plain dump', parseJobs, 1)
    .option('--identity <file>', 'age private key, for an encrypted snapshot', collect)
    .addOption(ofDatabase('--schema <name>', 'restore this schema alone; may be repeated').argParser(collect))
    .addOption(new Option('--all-schemas', 'what is done anyway').conflicts('schema').hideHelp())
    .addOption(
      ofDatabase(
        '--without-extension <name>',
        'leave an extension out, with all that depends on it; may be repeated',
      ).argParser(collect),
    )
    .addOption(
      ofDatabase('--create-role', 'create the role that will own it when it is missing, with the password of DB_PASS'),
    )
    .addOption(ofDatabase('--owner <role>', 'who will own it, instead of the role that Mastodon uses'))
    .addOption(ofDatabase('--locale <name>', "collation of the new database, instead of the source's"))
    .addOption(
      ofDatabase(
        '--sequences-ahead <number>',
        'move sequences ahead, so that no id of follows or votes comes again that other servers know; such as 1000000',
      ).argParser(parseCount(furthestAhead)),
    )
    .option('--ignore-secrets', 'restore although secrets here are not those of the snapshot')
    .option('--from <store>', 's3 or local', parseStore)
    .option('--accept-unsigned', 'take what nobody who is trusted has signed for ours')
    .option('--instance <name>', 'which instance, when several share the prefix')
    .option('--wait', 'wait while a run holds the lock')
    .option('--json', 'print the result as one JSON document')
    .action(async (named: string | undefined, options: RestoreOptions) => {
      if (options.at !== undefined) return restoreAt(context, { at: options.at, named, options });
      const snapshot = named ?? (options.before === undefined ? undefined : 'latest');
      if (snapshot === undefined)
        throw new AppError('usage', "missing required argument 'snapshot'", { hint: snapshotHint });
      const goal = readGoal(options);
      using progress = showProgress(context.progress, app.log);
      const source = {
        snapshot,
        before: options.before,
        ...(await readSource(options, context)),
        onProgress: progress.update,
      };
      if (goal.kind === 'database') {
        const report = await app.restore({ ...source, ...toDatabaseOptions(options, goal) });
        progress[Symbol.dispose]();
        print(context, {
          json: options.json,
          document: report,
          text: renderRestore(report, {
            timeZone: app.timetable().timeZone,
            columns: context.columns(),
            program: context.program,
          }),
        });
        return;
      }
      if (goal.kind === 'directory')
        throw new AppError('usage', 'A data directory is made of a moment, not of a snapshot', {
          hint: "Write --at '2026-11-25 14:31:07' or --at latest, instead of the snapshot.",
        });
      const request = { ...source, output: goal.file === '-' ? context.stdout : goal.file };
      const report: FileReport | ExtraReport = await app[fileVerbs[goal.kind]](request);
      progress[Symbol.dispose]();
      if (goal.file === '-') return;
      const document = { ...report, file: goal.file };
      print(context, { json: options.json, document, text: renderFile(document, { columns: context.columns() }) });
    });
}

// What changes a database and nothing else. With a file or a directory it would be passed over in silence: who writes --schema and
// --output would get all schemas.
function ofDatabase(flags: string, description: string): Option {
  return new Option(flags, description).conflicts(['output', 'secretsOutput', 'extraOutput', 'dataDirectory']);
}

// The same of a snapshot and of a moment.
function toDatabaseOptions(options: RestoreOptions, goal: Extract<Goal, { kind: 'database' }>) {
  return {
    database: goal.name,
    replace: goal.replace,
    jobs: options.jobs,
    schemas: options.schema ?? null,
    withoutExtensions: options.withoutExtension ?? [],
    createRole: options.createRole === true,
    owner: options.owner ?? null,
    locale: options.locale ?? null,
    ignoreSecrets: options.ignoreSecrets === true,
    ...(options.sequencesAhead === undefined ? {} : { sequencesAhead: options.sequencesAhead }),
    wait: options.wait === true,
  } as const;
}

async function restoreAt(
  context: CommandContext,
  { at, named, options }: { readonly at: string; readonly named: string | undefined; readonly options: RestoreOptions },
): Promise<void> {
  const { app } = context;
  if (named !== undefined || options.before !== undefined)
    throw new AppError('usage', 'A snapshot and a moment cannot both be restored', {
      hint: 'Write either a snapshot or --at TIME.',
    });
  const goal = readGoal(options);
  using progress = showProgress(context.progress, app.log);
  const source = {
    at,
    ...(await readSource(options, context)),
    wait: options.wait === true,
    onProgress: progress.update,
  };
  const { timeZone } = app.timetable();
  switch (goal.kind) {
    case 'database': {
      const document = await app.restoreMoment({ ...source, ...toDatabaseOptions(options, goal) });
      progress[Symbol.dispose]();
      const text = `${renderRestore(document, { timeZone, columns: context.columns(), program: context.program })}${renderMoment(document.moment, { timeZone, columns: context.columns() })}`;
      return print(context, { json: options.json, document, text });
    }
    case 'archive': {
      const report = await app.writeMoment({ ...source, output: goal.file === '-' ? context.stdout : goal.file });
      progress[Symbol.dispose]();
      if (goal.file === '-') return;
      const document = { ...report, file: goal.file };
      return print(context, {
        json: options.json,
        document,
        text: `${renderFile(document, { columns: context.columns() })}${renderMoment(report.moment, { timeZone, columns: context.columns() })}`,
      });
    }
    case 'directory': {
      const document = await app.layOutMoment({ ...source, directory: goal.directory });
      progress[Symbol.dispose]();
      return print(context, { json: options.json, document, text: renderDataDirectory(document, timeZone) });
    }
    case 'secrets':
    case 'extra':
      throw new AppError('usage', "Mastodon's settings and extra files travel with snapshots, not with moments", {
        hint: 'Restore them from a snapshot: mastodon-backup restore latest --secrets-output FILE, or --extra-output DIR.',
      });
    default:
      goal satisfies never;
  }
}

const fileVerbs = { archive: 'restoreFile', secrets: 'restoreSecrets', extra: 'restoreExtra' } as const;

type Goal =
  | { readonly kind: 'database'; readonly name: string; readonly replace: boolean }
  | { readonly kind: 'archive' | 'secrets' | 'extra'; readonly file: string }
  | { readonly kind: 'directory'; readonly directory: string };

function readGoal(options: RestoreOptions): Goal {
  const { toDatabase, replace, output, secretsOutput, extraOutput, dataDirectory } = options;
  const replaced = typeof replace === 'string' ? replace : undefined;
  const name = toDatabase ?? replaced;
  const database = name ?? (replace === true ? '' : undefined);
  const goals = [database, output, secretsOutput, extraOutput, dataDirectory].filter((one) => one !== undefined);
  if (goals.length !== 1) {
    throw new AppError('usage', goals.length === 0 ? 'Nothing says where to restore to' : 'Only one goal at a time', {
      hint: 'Write one of --to-database NAME, --output FILE, --secrets-output FILE and --extra-output DIR; with --at also --data-directory DIR.',
    });
  }
  if (options.json === true && [output, secretsOutput, extraOutput].includes('-')) {
    throw new AppError('usage', 'Standard output takes what is restored, and has no room for a JSON document', {
      hint: 'Write to a file instead of -, or leave --json out.',
    });
  }
  if (output !== undefined) return { kind: 'archive', file: output };
  if (secretsOutput !== undefined) return { kind: 'secrets', file: secretsOutput };
  if (dataDirectory !== undefined) return { kind: 'directory', directory: dataDirectory };
  if (extraOutput !== undefined) return { kind: 'extra', file: extraOutput };
  if (name === undefined || (replaced !== undefined && replaced !== name)) {
    throw new AppError('usage', 'It is not clear which database is to be replaced', {
      hint: 'Write --replace NAME, with the name of the database alone.',
    });
  }
  return { kind: 'database', name, replace: replace !== undefined };
}
