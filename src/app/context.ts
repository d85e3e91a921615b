// What every verb starts from: the settings, read once, and the stores, opened once. Wrong settings are thrown by each verb
// and not at the start, so that `config` and `doctor` can still speak.

import { createEnvironment, type Environment, type EnvironmentVariables } from '../config/environment.ts';
import { settingsError } from '../config/problem.ts';
import { bucketOf, readSettings, type LogSettings, type Settings } from '../config/settings.ts';
import { findClients, type ClientPrograms } from '../database/clients.ts';
import { AppError } from '../errors.ts';
import { createLog, createRedactor, type Log, type Redact } from '../log.ts';
import { createChannels } from '../notify/channels.ts';
import type { BackupEvent } from '../notify/event.ts';
import { createNotifier, type Notifier } from '../notify/notifier.ts';
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
import { openStores } from './repositories.ts';
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
  readonly writeLog: (text: string) => void;
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
  /** How often a broken download is taken up again; undefined: as usual. */
  readonly readPatience: ReadPatience | undefined;
  /** What is odd about the settings, but no error. */
  readonly warnings: readonly string[];
  /** Those of the warnings that say a setting is not known. */
  readonly unknownSettings: readonly string[];
  /** @throws AppError `settings` with all problems. */
  load(): Loaded;
  /** The destinations, the bucket first. */
  stores(): Promise<readonly Repository[]>;
  /** The store a reading command takes: the named one, else the first. */
  storeToRead(from: StoreName | null): Promise<Repository>;
  /** What is remembered between commands. */
  state(): StateFiles;
  /** When backups are to be made. */
  timetable(): Timetable;
  /** Tells people; never fails, and remembers which channels did. */
  tell(event: EventDetails, signal: AbortSignal): Promise<void>;
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
  const log = createAppLog(reading.log, { input, redact });
  const warnings = [...reading.warnings, ...database.warnings];
  const now = input.overrides?.now ?? (() => new Date());
  let opened: Promise<readonly Repository[]> | undefined;
  let state: StateFiles | undefined;
  let notifier: Notifier | undefined;
  let warned = false;

  function load(): Loaded {
    if (!warned) for (const warning of warnings) log.warn({}, warning);
    warned = true;
    const problems = [...reading.problems, ...database.problems, ...(media === undefined ? [] : [media])];
    const { settings } = reading;
    const { target } = database;
    if (problems.length > 0 || settings === null || target === null) throw settingsError(problems);
    return { settings, target, instance: instanceName(environment, target) };
  }

  async function stores(): Promise<readonly Repository[]> {
    opened ??= openStores(load().settings, { patience: input.overrides?.patience });
    return opened;
  }

  function openedState(): StateFiles {
    const { settings, instance } = load();
    state ??= openState({ directory: settings.stateDirectory, instance, log });
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
    readPatience: input.overrides?.readPatience,
    warnings,
    unknownSettings: reading.unknown,
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
    async tell(details, signal) {
      const { settings, instance } = load();
      notifier ??= createNotifier({
        channels: createChannels(settings.messages, { server: readMailServer(environment) }),
        when: settings.messages.when,
        timeZone: settings.timeZone,
        log,
        redact,
      });
      const at = now().toISOString();
      const outcomes = await notifier.send({ ...details, instance, at }, { signal });
      if (outcomes.length === 0) return;
      const told = outcomes.map(({ channel, error }) => ({ channel, error, at }));
      await openedState().updateAttempts(({ channels }) => ({
        channels: [...channels.filter(({ channel }) => !told.some((one) => one.channel === channel)), ...told],
      }));
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

function createAppLog(
  settings: LogSettings,
  { input, redact }: { readonly input: AppInput; readonly redact: Redact },
): Log {
  return createLog({
    level: settings.level,
    format: settings.format ?? (input.isTerminal ? 'pretty' : 'json'),
    redact,
    write: input.writeLog,
  });
}
