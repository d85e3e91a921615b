// The records as files in the state directory, replaced whole so that a reader never sees half of one. What cannot be read
// counts as not there: it is a cache. So does what another instance wrote, or, outside of the state directory, another user:
// several instances of a host share /tmp, and each would answer for the health of the others. A directory that is lost, emptied or read-only while a daemon runs gets what the
// daemon last wrote again, there or elsewhere, or health would call a fresh backup unknown until the next run.

import { createHash, randomBytes } from 'node:crypto';
import { access, open, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { fallbackDirectory, isOurs, stateDirectories, usableDirectory } from './directory.ts';
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

/** The state of `instance` in `directory`, or in the place that is used when that cannot be written. */
export function openState({
  directory,
  instance,
  log,
}: {
  readonly directory: string;
  readonly instance: string;
  readonly log: Log;
}): StateFiles {
  let usable: Promise<string> | undefined;
  const last = new Map<keyof Records, Records[keyof Records]>();

  // In the place that all share each instance has files of its own.
  function fileIn(place: string, name: keyof Records): string {
    return path.join(place, place === fallbackDirectory() ? `${shortHash(instance)}.${names[name]}` : names[name]);
  }

  async function read<Name extends keyof Records>(name: Name): Promise<Records[Name] | null> {
    const found: { readonly writtenAt: string; readonly record: Records[Name] }[] = [];
    for (const candidate of stateDirectories(directory)) {
      try {
        const value = JSON.parse(await readText(fileIn(candidate, name))) as Record<string, unknown>;
        const isOwn = value['format'] === format && value['instance'] === instance;
        if (isOwn && typeof value['record'] === 'object' && value['record'] !== null) {
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
        await replace(fileIn(place, name), { instance, record });
        for (const [other, known] of last) {
          const file = fileIn(place, other);
          if (!(await exists(file))) await replace(file, { instance, record: known });
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

function shortHash(instance: string): string {
  return createHash('sha256').update(instance).digest('hex').slice(0, 12);
}

// Whose it is, is asked of the open file: a name in a shared directory may point elsewhere a moment later.
async function readText(file: string): Promise<string> {
  await using handle = await open(file, 'r');
  if (path.dirname(file) === fallbackDirectory() && !isOurs(await handle.stat()))
    throw new Error(`'${file}' does not belong to us`);
  return await handle.readFile('utf8');
}

async function replace(file: string, content: { readonly instance: string; readonly record: object }): Promise<void> {
  const partial = `${file}.${randomBytes(4).toString('hex')}`;
  try {
    await writeFile(partial, JSON.stringify({ format, writtenAt: new Date().toISOString(), ...content }), {
      mode: 0o600,
    });
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
