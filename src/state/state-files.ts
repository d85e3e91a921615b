// The records as files in the state directory, replaced whole so that a reader never sees half of one. What cannot be read
// counts as not there: it is a cache. A directory that is lost, emptied or read-only while a daemon runs gets what the
// daemon last wrote again, there or elsewhere, or health would call a fresh backup unknown until the next run.

import { randomBytes } from 'node:crypto';
import { access, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { stateDirectories, usableDirectory } from './directory.ts';
import { noAttempts, type AttemptsRecord, type HeartbeatRecord, type StoresRecord } from './records.ts';

const names = { stores: 'stores.json', attempts: 'attempts.json', heartbeat: 'heartbeat.json' } as const;

interface Records {
  readonly stores: StoresRecord;
  readonly attempts: AttemptsRecord;
  readonly heartbeat: HeartbeatRecord;
}

/** The files' format; another one counts as not there. */
const format = 1;

/** The state directory. */
export interface StateFiles {
  readStores(): Promise<StoresRecord | null>;
  /** What is remembered of attempts, or nothing remembered. */
  readAttempts(): Promise<AttemptsRecord>;
  readHeartbeat(): Promise<HeartbeatRecord | null>;
  /** Writing never fails: what cannot be remembered is logged. */
  writeStores(record: StoresRecord): Promise<void>;
  /** Changes what is remembered of attempts. */
  updateAttempts(change: (before: AttemptsRecord) => Partial<AttemptsRecord>): Promise<void>;
  writeHeartbeat(record: HeartbeatRecord): Promise<void>;
}

const attemptsToWrite = 2;

/** The state in `directory`, or in the place that is used when that cannot be written. */
export function openState({ directory, log }: { readonly directory: string; readonly log: Log }): StateFiles {
  let usable: Promise<string> | undefined;
  const last = new Map<keyof Records, Records[keyof Records]>();

  async function read<Name extends keyof Records>(name: Name): Promise<Records[Name] | null> {
    const found: { readonly writtenAt: string; readonly record: Records[Name] }[] = [];
    for (const candidate of stateDirectories(directory)) {
      try {
        const value = JSON.parse(await readFile(path.join(candidate, names[name]), 'utf8')) as Record<string, unknown>;
        if (value['format'] === format && typeof value['record'] === 'object' && value['record'] !== null) {
          found.push({ writtenAt: String(value['writtenAt']), record: value['record'] as Records[Name] });
        }
      } catch (error) {
        log.debug({ directory: candidate, file: names[name], err: error }, 'No state here');
      }
    }
    return found.toSorted((a, b) => (a.writtenAt < b.writtenAt ? 1 : -1))[0]?.record ?? null;
  }

  async function write<Name extends keyof Records>(name: Name, record: Records[Name]): Promise<void> {
    last.set(name, record);
    for (let attempt = 1; attempt <= attemptsToWrite; attempt += 1) {
      try {
        // Asked again after a failure: it may have been a directory that is gone.
        usable ??= usableDirectory(directory, log);
        const place = await usable;
        await replace(path.join(place, names[name]), record);
        for (const [other, known] of last) {
          const file = path.join(place, names[other]);
          if (!(await exists(file))) await replace(file, known);
        }
        return;
      } catch (error) {
        usable = undefined;
        if (attempt < attemptsToWrite) continue;
        log.warn({ file: names[name], directory }, `State could not be written: ${describeError(error)}`);
      }
    }
  }

  return {
    readStores: async () => read('stores'),
    readAttempts: async () => ({ ...noAttempts, ...(await read('attempts')) }),
    readHeartbeat: async () => read('heartbeat'),
    writeStores: async (record) => write('stores', record),
    async updateAttempts(change) {
      const before = { ...noAttempts, ...(await read('attempts')) };
      await write('attempts', { ...before, ...change(before) });
    },
    writeHeartbeat: async (record) => write('heartbeat', record),
  };
}

async function replace(file: string, record: object): Promise<void> {
  const partial = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(partial, JSON.stringify({ format, writtenAt: new Date().toISOString(), record }), { mode: 0o600 });
    await rename(partial, file);
  } catch (error) {
    await rm(partial, { force: true }).catch(() => undefined);
    throw error;
  }
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
