// A receiver in this process, with a directory as its store, which can be made to fail.

import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { noSigning, type SigningSettings } from '../../src/config/signing-keys.ts';
import { AppError } from '../../src/errors.ts';
import { chainCompression, type EncodingForm } from '../../src/pitr/encoding.ts';
import type { ReceiverState } from '../../src/pitr/receiver-state.ts';
import { runReceiver } from '../../src/pitr/receiver.ts';
import type { Remembered } from '../../src/pitr/start.ts';
import { createRepository, type Repository } from '../../src/snapshots/repository.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import type { RemovableStore } from '../../src/storage/store.ts';
import type { PostgresServer } from './postgres-server.ts';
import { quietLog } from './quiet-log.ts';
import { until } from './until.ts';

/** A receiver that runs; its disposer ends it as a signal does. */
export interface LogFollower extends AsyncDisposable {
  readonly repository: Repository;
  /** How it stands; undefined: it has not said. */
  state(): ReceiverState | undefined;
  /** Why it has not followed anything yet; undefined: it has not said. */
  obstacle(): string | undefined;
  /** While set, nothing can be stored. */
  readonly fail: (isFailing: boolean) => void;
  /** Resolves when the server streams its log to it. */
  isFollowing(): Promise<void>;
  /** Resolves when everything that the server has written by now is stored. */
  caughtUp(): Promise<void>;
  readonly ended: Promise<void>;
}

/** A repository in a directory whose documents can be made to fail. */
export function failingRepository(
  directory: string,
  { signing = noSigning }: { readonly signing?: SigningSettings } = {},
): {
  readonly repository: Repository;
  readonly fail: (isFailing: boolean) => void;
} {
  mkdirSync(directory, { recursive: true });
  const store = createLocalStore({ directory });
  let isFailing = false;
  const failing: RemovableStore = {
    ...store,
    async putDocument(key, content, options) {
      if (isFailing) throw new AppError('store', 'The store is down', { reason: 'unreachable' });
      return store.putDocument(key, content, options);
    },
  };
  const repository = createRepository(failing, { signing });
  return { repository, fail: (value) => void (isFailing = value) };
}

/** The form in which tests store. */
export const plainForm: EncodingForm = { compression: chainCompression, recipients: [] };

/** Starts one. */
export function followLog(
  connection: ConnectionSettings,
  options: {
    readonly directory: string;
    readonly form?: EncodingForm;
    readonly uploadEveryMs?: number;
    readonly slotLimitBytes?: number;
    readonly instance?: string;
    readonly signing?: SigningSettings;
    /** What the machine remembers; left out: nothing. */
    readonly remembered?: Remembered;
    /** Which is asked how far it is. */
    readonly server: Pick<PostgresServer, 'query'>;
  },
): LogFollower {
  const { repository, fail } = failingRepository(options.directory, options);
  const stop = new AbortController();
  let state: ReceiverState | undefined;
  let obstacle: string | undefined;
  const ended = runReceiver({
    connection,
    repository,
    instance: options.instance ?? 'example.social',
    form: options.form ?? plainForm,
    identities: [],
    recall: async () => options.remembered ?? null,
    uploadEveryMs: options.uploadEveryMs ?? 500,
    slotLimitBytes: options.slotLimitBytes ?? 256 * 1024 * 1024,
    onState: (now) => void (state = now),
    onObstacle: (problem) => void (obstacle = problem),
    now: () => new Date(),
    random: () => 0,
    log: quietLog,
    signal: stop.signal,
  });
  ended.catch(() => undefined);
  return {
    repository,
    fail,
    ended,
    state: () => state,
    obstacle: () => obstacle,
    async isFollowing() {
      await until('the server to stream', {
        seconds: 15,
        look: async () => state?.endOfLog !== null && state !== undefined,
      });
    },
    async caughtUp() {
      const [row] = await options.server.query("select (pg_current_wal_flush_lsn() - '0/0')::text as lsn");
      const wanted = BigInt(String(row?.['lsn']));
      await until('the log to be stored', { seconds: 30, look: async () => (state?.storedTo ?? 0n) >= wanted });
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended.catch(() => undefined);
    },
  };
}

/** A file of the server's own log. */
export function walFile(data: string, segment: string): Buffer {
  return readFileSync(path.join(data, 'pg_wal', segment));
}
