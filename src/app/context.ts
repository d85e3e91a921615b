// What every verb starts from: the settings, read once, and the stores, opened once. Wrong settings are thrown by each verb
// and not at the start, so that `config` and `doctor` can still speak.

import { createEnvironment, type Environment, type EnvironmentVariables } from '../config/environment.ts';
import { renderProblem, settingsError, type SettingProblem } from '../config/problem.ts';
import { bucketOf, readSettings, stopsRuns, type Settings } from '../config/settings.ts';
import { findClients, type ClientPrograms } from '../database/clients.ts';
import { AppError, describeError } from '../errors.ts';
import { createLog, createRedactor, type Log, type Redact } from '../log.ts';
import type { Channel } from '../notify/channel.ts';
import { createChannels } from '../notify/channels.ts';
import type { BackupEvent } from '../notify/event.ts';
import { createNotifier, type ChannelOutcome, type Notifier } from '../notify/notifier.ts';
import { readDatabaseTarget, type DatabaseTarget } from '../mastodon/database-settings.ts';
import { instanceName } from '../mastodon/instance.ts';
import { readMailServer } from '../mastodon/mail-server.ts';
import { findMediaBucketProblem } from '../mastodon/media-bucket.ts';
import { collectSecrets } from '../mastodon/secrets.ts';
import type { Timetable } from '../schedule/timetable.ts';
import type { Repository } from '../snapshots/repository.ts';
import { openState, type StateFiles } from '../state/state-files.ts';
import type { ReadPatience } from '../storage/patient-reader.ts';
import type { S3Patience } from '../storage/s3-bucket.ts';
import type { StoreName } from '../storage/store.ts';
import { createRemains, type Remains } from '../stream/remains.ts';
import { createLogLine } from '../text/log-line.ts';
import { createToldFailures, type ToldFailures } from './told-failures.ts';

/** What tests replace. */
export interface AppOverrides {
  readonly now?: () => Date;
  readonly patience?: S3Patience;
  readonly readPatience?: ReadPatience;
}

/** What the program is started with. */
export interface AppInput {
  readonly environment: EnvironmentVariables;
  /** User id we run as, for error texts. */
  readonly uid: number;
  readonly processId: number;
  readonly toolVersion: string;
  readonly isTerminal: boolean;
  /** How wide the terminal is, in characters. */
  readonly logColumns?: () => number;
  readonly writeLog: (text: string) => void;
  /** How this program is called where its messages are read, such as `bin/mastodon-backup`. */
  readonly program: string;
  readonly overrides?: AppOverrides;
}

/** Settings without problems, and the database they mean. */
export interface Loaded {
  readonly settings: Settings;
  readonly target: DatabaseTarget;
  /** LOCAL_DOMAIN, else host/database. */
  readonly instance: string;
}

/** An event without what every event says. */
export type EventDetails = BackupEvent extends infer Event
  ? Event extends BackupEvent
    ? Omit<Event, 'instance' | 'at'>
    : never
  : never;

/** What verbs share. */
export interface AppContext {
  readonly environment: Environment;
  readonly toolVersion: string;
  readonly processId: number;
  /** The user id we run as. */
  readonly uid: number;
  readonly log: Log;
  readonly redact: Redact;
  readonly now: () => Date;
  /** What would be left behind if the process ended now. */
  readonly remains: Remains;
  /** How often a broken download is taken up again; undefined: as usual. */
  readonly readPatience: ReadPatience | undefined;
  /** How the log is written. */
  readonly logFormat: 'json' | 'pretty';
  /** What is odd about the settings, but no error. */
  readonly warnings: readonly string[];
  /** Those of the warnings that say a setting is not known. */
  readonly unknownSettings: readonly string[];
  /** What is wrong with the settings of channels and hooks: it stops no run. */
  readonly channelProblems: readonly SettingProblem[];
  /** @throws AppError `settings` with all problems when one of them stops runs. */
  load(): Loaded;
  /** The destinations, the bucket first. */
  stores(): Promise<readonly Repository[]>;
  /** The store a reading command takes: the named one, else the first. */
  storeToRead(from: StoreName | null): Promise<Repository>;
  /** What is remembered between commands. */
  state(): StateFiles;
  /** When backups are to be made. */
  timetable(): Timetable;
  /** The channels that are set, whatever BACKUP_NOTIFY says. */
  channels(): readonly Channel[];
  /** Tells people, all or by one channel; never fails, and remembers which channels did. Null: nothing could be sent at all. */
  tell(
    event: EventDetails,
    signal: AbortSignal,
    options?: { readonly only?: string },
  ): Promise<readonly ChannelOutcome[] | null>;
  /** What people were told of failures that last. */
  readonly told: ToldFailures;
  /** The installed PostgreSQL clients. */
  findClients(signal: AbortSignal): Promise<readonly ClientPrograms[]>;
  /** Closes the stores. */
  close(): Promise<void>;
}

/** Reads the environment; never throws for wrong settings. */
export function createContext(input: AppInput): AppContext {
  const environment = createEnvironment(input.environment, input);
  const reading = readSettings(environment);
  const database = readDatabaseTarget(environment);
  const media = findMediaBucketProblem(environment, reading.settings === null ? null : bucketOf(reading.settings));
  const redact = createRedactor(collectSecrets(environment));
  const logFormat = reading.log.format ?? (input.isTerminal ? 'pretty' : 'json');
  const columns = input.logColumns ?? (() => Number.POSITIVE_INFINITY);
  const log = createLog({
    level: reading.log.level,
    render: logFormat === 'json' ? null : createLogLine({ timeZone: reading.timeZone, columns }),
    redact,
    write: input.writeLog,
  });
  const warnings = [...reading.warnings, ...database.warnings];
  const channelProblems = reading.problems.filter((problem) => !stopsRuns(problem));
  const now = input.overrides?.now ?? (() => new Date());
  let opened: Promise<readonly Repository[]> | undefined;
  let state: StateFiles | undefined;
  let channels: readonly Channel[] | undefined;
  let notifier: Notifier | undefined;
  let warned = false;

  function load(): Loaded {
    if (!warned) {
      for (const warning of warnings) log.warn({}, warning);
      for (const problem of channelProblems) log.warn({}, `Backups go on without this: ${renderProblem(problem)}`);
    }
    warned = true;
    const problems = [...reading.problems, ...database.problems, ...(media === undefined ? [] : [media])];
    const { settings } = reading;
    const { target } = database;
    if (problems.some(stopsRuns) || settings === null || target === null) throw settingsError(problems);
    return { settings, target, instance: instanceName(environment, target) };
  }

  async function stores(): Promise<readonly Repository[]> {
    const { settings } = load();
    opened ??= import('./repositories.ts').then(async ({ openStores }) =>
      openStores(settings, { ...input, patience: input.overrides?.patience, log }),
    );
    return opened;
  }

  function openedChannels(): readonly Channel[] {
    channels ??= createChannels(load().settings.messages, { server: readMailServer(environment) });
    return channels;
  }

  function openedState(): StateFiles {
    const { settings, instance } = load();
    state ??= openState({ directory: settings.stateDirectory, instance, now, log });
    return state;
  }

  return {
    environment,
    toolVersion: input.toolVersion,
    processId: input.processId,
    uid: input.uid,
    log,
    redact,
    now,
    remains: createRemains(),
    readPatience: input.overrides?.readPatience,
    logFormat,
    warnings,
    unknownSettings: reading.unknown,
    channelProblems,
    told: createToldFailures(now),
    load,
    stores,
    state: openedState,
    async storeToRead(from) {
      const all = await stores();
      const found = from === null ? all[0] : all.find(({ store }) => store.name === from);
      if (found !== undefined) return found;
      throw new AppError('usage', `There is no destination '${from}' in the settings`, {
        hint: from === 'local' ? 'Set BACKUP_LOCAL_DIR.' : 'Set BACKUP_S3_BUCKET and its keys.',
      });
    },
    timetable() {
      const { schedules, timeZone } = load().settings;
      return { schedules, timeZone };
    },
    channels: openedChannels,
    async tell(details, signal, { only } = {}) {
      try {
        const { settings, instance } = load();
        notifier ??= createNotifier({
          channels: openedChannels(),
          when: settings.messages.when,
          timeZone: settings.timeZone,
          program: input.program,
          log,
          redact,
        });
        const at = now().toISOString();
        const event = { ...details, instance, at };
        const outcomes = await notifier.send(event, { signal, ...(only === undefined ? {} : { only }) });
        if (outcomes.length === 0) return [];
        const told = outcomes.map(({ channel, error }) => ({ channel, error, at }));
        await openedState().updateAttempts(({ channels: before }) => ({
          channels: [...before.filter(({ channel }) => !told.some((one) => one.channel === channel)), ...told],
        }));
        return outcomes;
      } catch (error) {
        // Whatever it was: a backup is worth more than the message about it.
        log.warn({ event: details.kind }, `No message could be sent: ${describeError(error)}`);
        return null;
      }
    },
    async findClients(signal) {
      return findClients({
        directory: load().settings.pgBin,
        path: environment.get('PATH')?.text ?? '',
        signal,
      });
    },
    async close() {
      for (const { store } of (await opened) ?? []) await store.close();
    },
  };
}
