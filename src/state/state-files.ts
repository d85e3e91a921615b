// The records as files in the state directory, replaced whole so that a reader never sees half of one, and changed under a lock of
// their own, so that a `docker exec` and the daemon lose no update. What cannot be read counts as not there: it is a cache. So does
// what another instance wrote, or, outside of the state directory, another user: several instances of a host share /tmp, and each
// would answer for the health of the others. A directory that is lost, emptied, damaged or read-only while a daemon runs gets what
// the daemon last wrote again, or health would call a fresh backup unknown until the next run. A file that has not changed is not
// decoded again: whoever asks for health or the status page every second must not cost anything.

import { constants } from 'node:fs';
import { access, open } from 'node:fs/promises';
import path from 'node:path';
import { describeError } from '../errors.ts';
import type { Log } from '../log.ts';
import { believedDirectories, fallbackDirectory, isOurs, usableDirectory } from './directory.ts';
import {
  decodeRecord,
  encodeRecord,
  noAttempts,
  recordNames,
  type AttemptsRecord,
  type DrillsRecord,
  type HeartbeatRecord,
  type HistoryRecord,
  type ProgressRecord,
  type Records,
  type StoresRecord,
} from './records.ts';
import { replaceFile } from './own-file.ts';
import type { PitrRecord } from './pitr-record.ts';
import { shortHash } from './short-hash.ts';
import { lockState } from './state-lock.ts';

/** The state directory. Changing it never fails: what cannot be remembered is logged. */
export interface StateFiles {
  readStores(): Promise<StoresRecord | null>;
  /** What is remembered of attempts, or nothing remembered. */
  readAttempts(): Promise<AttemptsRecord>;
  readHeartbeat(): Promise<HeartbeatRecord | null>;
  readHistory(): Promise<HistoryRecord | null>;
  readDrills(): Promise<DrillsRecord | null>;
  readProgress(): Promise<ProgressRecord | null>;
  readPitr(): Promise<PitrRecord | null>;
  /** The files that are there, or may be, and that this user may not read. */
  refused(): Promise<readonly string[]>;
  /** Changes what is remembered of the stores; `change` may be asked more than once. */
  updateStores(change: (before: StoresRecord | null) => StoresRecord): Promise<void>;
  /** Changes what is remembered of attempts; `change` as above. */
  updateAttempts(change: (before: AttemptsRecord) => Partial<AttemptsRecord>): Promise<void>;
  /** Changes what is remembered of the last year; `change` as above. */
  updateHistory(change: (before: HistoryRecord | null) => HistoryRecord): Promise<void>;
  /** Changes what is remembered of drills; `change` as above. */
  updateDrills(change: (before: DrillsRecord | null) => DrillsRecord): Promise<void>;
  /** Changes how far what goes on has come. */
  updateProgress(change: Partial<ProgressRecord>): Promise<void>;
  /** Changes what is remembered of base backups and log. */
  updatePitr(change: Partial<PitrRecord>): Promise<void>;
  writeHeartbeat(record: HeartbeatRecord): Promise<void>;
}

const attemptsToWrite = 2;
/** Larger than all that is ever remembered, in bytes. */
const largestFile = 64 * 1024 * 1024;

interface Reading<Name extends keyof Records> {
  readonly writtenAt: string;
  readonly record: Records[Name];
}

/** The state of `instance` in `directory`, or in the place that is used when that cannot be written. */
export function openState({
  directory,
  instance,
  now,
  log,
  lockPatienceMs,
}: {
  readonly directory: string;
  readonly instance: string;
  readonly now: () => Date;
  readonly log: Log;
  /** How long a holder of the lock is waited for, in milliseconds; tests shorten it. */
  readonly lockPatienceMs?: number;
}): StateFiles {
  let usable: Promise<string> | undefined;
  /** What was decoded, by file, while the file is the same. */
  const readings = new Map<string, { readonly version: string; readonly reading: Reading<keyof Records> | null }>();
  const last = new Map<keyof Records, Records[keyof Records]>();
  /** What could not be written: newer than any file. */
  const unwritten = new Set<keyof Records>();
  let queue: Promise<unknown> = Promise.resolve();

  // In the place that all share each instance has files of its own, and each state directory of it: of a trial on the same host
  // nothing shows where the instance has another one later.
  const shared = shortHash(`${path.resolve(directory)}\n${instance}`, 12);
  function fileIn(place: string, name: keyof Records): string {
    return path.join(place, place === fallbackDirectory() ? `${shared}.${name}.json` : `${name}.json`);
  }

  function mine<Name extends keyof Records>(name: Name): Records[Name] | null {
    return (last.get(name) as Records[Name] | undefined) ?? null;
  }

  async function decode<Name extends keyof Records>(name: Name, file: string): Promise<Reading<Name> | null> {
    const known = readings.get(file);
    const found = await readChanged(file, known?.version).catch(() => null);
    if (found === 'same') return (known?.reading ?? null) as Reading<Name> | null;
    const reading = found === null ? null : decodeRecord(found.text, { name, instance });
    if (found === null) readings.delete(file);
    else readings.set(file, { version: found.version, reading });
    if (reading === null) log.debug({ file, isThere: found !== null }, 'No state here');
    return reading;
  }

  async function read<Name extends keyof Records>(name: Name): Promise<Records[Name] | null> {
    if (unwritten.has(name)) return mine(name);
    const found: Reading<Name>[] = [];
    for (const candidate of await believedDirectories(directory)) {
      const file = fileIn(candidate, name);
      const decoded = await decode(name, file);
      if (decoded !== null) found.push(decoded);
    }
    // Of a directory that was emptied: whoever reads before the next write would take our own backups for another container's.
    return found.toSorted((a, b) => (a.writtenAt < b.writtenAt ? 1 : -1))[0]?.record ?? mine(name);
  }

  async function update<Name extends keyof Records>(
    name: Name,
    change: (before: Records[Name] | null) => Records[Name],
  ): Promise<void> {
    for (let attempt = 1; attempt <= attemptsToWrite; attempt += 1) {
      let record: Records[Name] | undefined;
      try {
        // Asked again after a failure: it may have been a directory that is gone.
        usable ??= usableDirectory(directory, log);
        const place = await usable;
        await using _lock = await lockState(place, { now, log, patienceMs: lockPatienceMs });
        record = change(await read(name));
        await replaceFile(fileIn(place, name), encodeRecord(record, { instance, writtenAt: now() }));
        last.set(name, record);
        unwritten.delete(name);
        for (const [other, known] of last) {
          const file = fileIn(place, other);
          if (!unwritten.has(other) && (await decode(other, file)) !== null) continue;
          await replaceFile(file, encodeRecord(known, { instance, writtenAt: now() }));
          unwritten.delete(other);
        }
        return;
      } catch (error) {
        usable = undefined;
        if (attempt < attemptsToWrite) continue;
        last.set(name, record ?? change(await read(name)));
        unwritten.add(name);
        log.warn({ file: `${name}.json`, directory }, `State could not be written: ${describeError(error)}`);
      }
    }
  }

  // One after the other in this process; the lock is for the others.
  async function inTurn(work: () => Promise<void>): Promise<void> {
    const turn = queue.then(work);
    queue = turn.catch(() => undefined);
    return turn;
  }

  return {
    readStores: async () => read('stores'),
    readAttempts: async () => (await read('attempts')) ?? noAttempts,
    readHeartbeat: async () => read('heartbeat'),
    readHistory: async () => read('history'),
    readDrills: async () => read('drills'),
    readProgress: async () => read('progress'),
    readPitr: async () => read('pitr'),
    async refused() {
      const places = await believedDirectories(directory);
      const files = places.flatMap((place) => recordNames.map((name) => fileIn(place, name)));
      const refused = await Promise.all(files.map(isRefused));
      return files.filter((_, index) => refused[index]);
    },
    updateStores: async (change) => inTurn(async () => update('stores', change)),
    updateAttempts: async (change) =>
      inTurn(async () =>
        update('attempts', (found) => {
          const before = found ?? noAttempts;
          return { ...before, ...change(before) };
        }),
      ),
    updateHistory: async (change) => inTurn(async () => update('history', change)),
    updateDrills: async (change) => inTurn(async () => update('drills', change)),
    updateProgress: async (change) =>
      inTurn(async () => update('progress', (before) => ({ ...(before ?? { run: null, drill: null }), ...change }))),
    updatePitr: async (change) =>
      inTurn(async () =>
        update('pitr', (before) => ({
          ...(before ?? { since: now().toISOString(), following: null, base: null, window: null }),
          ...change,
        })),
      ),
    writeHeartbeat: async (record) => inTurn(async () => update('heartbeat', () => record)),
  };
}

async function isRefused(file: string): Promise<boolean> {
  return access(file, constants.R_OK).then(
    () => false,
    ({ code }: NodeJS.ErrnoException) => code === 'EACCES' || code === 'EPERM',
  );
}

// Whose it is, is asked of the open file: a name in a shared directory may point elsewhere a moment later.
async function readChanged(
  file: string,
  known: string | undefined,
): Promise<'same' | { readonly version: string; readonly text: string }> {
  // A pipe would keep whoever opens it waiting.
  await using handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
  const stats = await handle.stat();
  if (!stats.isFile() || stats.size > largestFile) throw new Error(`'${file}' is no file of ours`);
  if (path.dirname(file) === fallbackDirectory() && !isOurs(stats)) throw new Error(`'${file}' does not belong to us`);
  // Files are replaced whole: another content is another inode, or a name that was given again at another time.
  const version = [stats.ino, stats.size, stats.mtimeMs, stats.ctimeMs].join(' ');
  if (version === known) return 'same';
  return { version, text: await handle.readFile('utf8') };
}
