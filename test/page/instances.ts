// Real daemons in every state that an administrator can find theirs in: what they remember and what lies in their directory is
// made, then they run as always, by a clock that shows the moment at which the pictures are taken.

import { takeLock } from '../../src/state/lock.ts';
import type { Status } from '../../src/status/status.ts';
import { databaseEnvironment } from '../support/command.ts';
import { startDaemon } from '../support/daemon.ts';
import type { PostgresServer } from '../support/postgres-server.ts';
import { furnish } from '../support/furnished-instance.ts';
import { quietLog } from '../support/quiet-log.ts';
import {
  drillAt,
  holding,
  keptOf,
  madeAt,
  now,
  statusFacts,
  timetable,
  yearOfRuns,
  type StatusOverrides,
} from '../support/status-facts.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';
import { until } from '../support/until.ts';

const hourMs = 3_600_000;

/** How it may stand. */
export type StateName = 'healthy' | 'late' | 'failed' | 'running' | 'empty' | 'full';

interface State {
  readonly facts: StatusOverrides;
  readonly status: Status['verdict']['status'];
  /** Whether the database answers. */
  readonly hasDatabase: boolean;
  readonly environment?: Readonly<Record<string, string>>;
}

const hourly = { ...timetable, schedules: { ...timetable.schedules, hourly: '0 * * * *' } };
const untilSunday = yearOfRuns().filter(({ dataAt }) => now.getTime() - dataAt.getTime() > 70 * hourMs);
const refused = "The database 'mastodon_production' cannot be reached: connect ECONNREFUSED 10.0.3.7:5432";

const states: Readonly<Record<StateName, () => State>> = {
  healthy: () => ({ facts: {}, status: 'healthy', hasDatabase: true }),
  late: () => ({
    facts: {
      stores: [holding(keptOf(untilSunday))],
      history: {
        since: '2025-11-20T00:00:00.000Z',
        runs: [...untilSunday],
        failures: ['2026-11-25', '2026-11-24', '2026-11-23'].map((day) => ({
          tier: 'daily',
          at: `${day}T12:10:30.000Z`,
          step: 'dump',
          message: refused,
        })),
      },
      attempts: {
        failures: { daily: { at: '2026-11-25T12:10:30.000Z', step: 'dump', message: refused, hint: null } },
      },
    },
    status: 'late',
    hasDatabase: false,
  }),
  failed: () => ({
    facts: { drills: { reports: [failedDrill()], isWhole: true } },
    status: 'failed',
    hasDatabase: true,
  }),
  running: () => ({
    facts: {
      attempts: { running: { command: 'run daily', tier: 'daily', since: '2026-11-25T15:18:00.000Z' } },
      progress: {
        run: { at: '2026-11-25T15:19:57.000Z', step: 'dump', bytes: 26 * 2 ** 27, expectedBytes: 45 * 2 ** 27 },
        drill: null,
      },
    },
    status: 'healthy',
    hasDatabase: true,
  }),
  empty: () => ({
    facts: {
      stores: [holding([])],
      history: null,
      drills: null,
      attempts: { drill: null, prune: null, channels: [] },
    },
    status: 'starting',
    hasDatabase: false,
  }),
  full: () => {
    const runs = [
      ...yearOfRuns(365, hourly)
        .filter(({ tier }) => tier === 'hourly')
        .slice(0, 380),
      ...keptOf(yearOfRuns()),
      madeAt('labelled', new Date('2026-10-30T19:12:00Z'), { label: 'before upgrading to 4.5 <with care>' }),
    ].toSorted((a, b) => b.dataAt.getTime() - a.dataAt.getTime());
    return {
      facts: { timetable: hourly, stores: [holding(runs)], history: null },
      status: 'healthy',
      hasDatabase: true,
      environment: { BACKUP_SCHEDULE_HOURLY: '0 * * * *', BACKUP_KEEP_HOURLY: '400' },
    };
  },
};

/** All of them. */
export const stateNames = Object.keys(states) as readonly StateName[];

// It found that the newest snapshot lacks rows.
function failedDrill() {
  return drillAt(new Date(now.getTime() - hourMs), {
    status: 'failed',
    checks: [
      { check: 'restore', status: 'ok', detail: 'pg_restore read all of it', remedy: null },
      {
        check: 'rows',
        status: 'failed',
        detail: 'public.statuses has 1,204,332 rows, the manifest says 1,204,377',
        remedy: 'Take a new backup: mastodon-backup run daily. Then drill it: mastodon-backup drill latest.',
      },
      { check: 'collation', status: 'note', detail: 'en_US.utf8 is not here; C.UTF-8 is used', remedy: null },
    ],
  });
}

// The channel of which something is remembered; what is sent by it goes no further than this machine.
const unheard = {
  BACKUP_TELEGRAM_BOT_TOKEN: '123456789:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  BACKUP_TELEGRAM_CHAT_ID: '1',
  BACKUP_NOTIFY: 'failure',
  HTTPS_PROXY: 'http://127.0.0.1:9',
};

/** A daemon whose page is served. */
export interface RunningInstance extends AsyncDisposable {
  readonly url: string;
  readonly environment: Readonly<Record<string, string>>;
  /** What `/status.json` says. */
  status(): Promise<Status>;
}

/** A daemon in that state, with its page at `url`. */
export async function startInstance(
  name: StateName,
  {
    server,
    environment: more = {},
  }: {
    readonly server: Pick<PostgresServer, 'mastodon'>;
    readonly environment?: Readonly<Record<string, string>>;
  },
): Promise<RunningInstance> {
  const state = states[name]();
  const facts = statusFacts(state.facts);
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(temporaryDirectory());
  const environment: Readonly<Record<string, string>> = {
    ...databaseEnvironment(server.mastodon('mastodon_production')),
    ...(state.hasDatabase ? {} : { DB_PORT: '1' }),
    ...(await furnish(folder.path, facts)),
    ...unheard,
    ...state.environment,
    ...more,
  };
  const { running } = facts.attempts;
  if (running !== null)
    stack.use(
      await takeLock({
        directory: environment['BACKUP_STATE_DIR'] ?? '',
        name: 'run',
        holder: { command: running.command, processId: process.pid },
        now: () => new Date(running.since),
        wait: false,
        signal: AbortSignal.timeout(10_000),
        log: quietLog,
      }),
    );
  stack.use(startDaemon(environment));
  const url = `http://127.0.0.1:${environment['BACKUP_HTTP_PORT']}`;
  const token = environment['BACKUP_HTTP_TOKEN'];
  const headers = token === undefined ? undefined : { authorization: `Bearer ${token}` };
  const status = async (): Promise<Status> =>
    (await (await fetch(`${url}/status.json`, headers === undefined ? {} : { headers })).json()) as Status;
  await until(`${name} is ${state.status}`, {
    seconds: 20,
    look: async () => (await status().catch(() => null))?.verdict.status === state.status,
  });
  const kept = stack.move();
  return { url, environment, status, [Symbol.asyncDispose]: async () => kept.disposeAsync() };
}
