// Whether a drill could run here, and a restore with several jobs: both are found wanting on the day they are needed when nobody
// asks beforehand. What is asked is what a drill itself asks.

import { newestFirst } from '../schedule/due.ts';
import { identitiesOf, recipientsOf } from '../config/age-keys.ts';
import type { Finding } from '../doctor/finding.ts';
import { answerOf } from '../doctor/silence.ts';
import { chooseClient } from '../database/clients.ts';
import { chooseServer } from '../database/server-programs.ts';
import type { Space } from '../disk/directory.ts';
import { predictBytes, spaceOfScratch, tooLittle } from '../drill/scratch-space.ts';
import { findScratchUser } from '../drill/scratch-user.ts';
import { describeError } from '../errors.ts';
import { archiveBytes } from '../restore/archive-file.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { dumpOf } from '../snapshots/manifest.ts';
import { formatBytes } from '../text/format.ts';
import type { AppContext } from './context.ts';
import { scratchServers } from './scratch-means.ts';

const check = 'drill';

interface Lack {
  readonly detail: string;
  readonly remedy: string;
}

/** One finding; null figures: the database could not be asked, and the newest snapshot is taken instead. */
export async function examineDrill(
  context: AppContext,
  options: {
    readonly earlier: readonly EarlierBackups[];
    readonly serverMajor: number | null;
    readonly databaseBytes: number | null;
    readonly signal: AbortSignal;
  },
): Promise<readonly Finding[]> {
  const { settings } = context.load();
  const { earlier, signal } = options;
  const newest = earlier.flatMap(({ snapshots }) => snapshots).toSorted(newestFirst)[0];
  const major =
    options.serverMajor ?? (newest === undefined ? null : Number.parseInt(newest.database.serverVersion, 10));
  const bytes = options.databaseBytes ?? newest?.database.sizeBytes ?? null;
  if (major === null || bytes === null) return [];
  const programs = await findPrograms(context, { major, signal });
  const space = await readSpace(settings.scratchDirectory, signal);
  const lacks = [
    'lack' in programs ? programs.lack : null,
    await userLack(context.uid),
    space === null ? null : spaceLack(space, bytes),
  ].filter((one) => one !== null);
  const isEncrypted =
    newest === undefined ? recipientsOf(settings.keys).length > 0 : dumpOf(newest).encryption !== null;
  const restore = space === null || newest === undefined ? null : restoreLack(space, archiveBytes(newest));
  const findings: Finding[] = [];
  if (lacks.length > 0) {
    findings.push({
      check,
      status: settings.schedules.drill === null ? 'ok' : 'warning',
      detail: `no drill can run here: ${lacks.map(({ detail }) => detail).join('; ')}`,
      remedy: lacks.map(({ remedy }) => remedy).join(' '),
    });
  } else if (isEncrypted && identitiesOf(settings.keys).length === 0) {
    const detail = 'a drill by the clock is skipped, for no private key is on this machine; by hand it can have one';
    const remedy = 'Drill now and then with the key from elsewhere: mastodon-backup drill --identity key.txt';
    findings.push({ check, status: 'ok', detail, remedy });
  } else if ('version' in programs && space !== null) {
    const room = `about ${formatBytes(predictBytes(bytes))} of ${formatBytes(space.freeBytes)} that are free`;
    const detail = `can run: PostgreSQL ${programs.version} in ${programs.directory}, ${room}`;
    findings.push({ check, status: 'ok', detail, remedy: null });
  }
  return restore === null ? findings : [...findings, restore];
}

async function findPrograms(
  context: AppContext,
  { major, signal }: { readonly major: number; readonly signal: AbortSignal },
): Promise<{ readonly lack: Lack } | { readonly version: string; readonly directory: string }> {
  const server = chooseServer(await scratchServers(context, signal), major);
  if (server === undefined) {
    return {
      lack: {
        detail: `no PostgreSQL server of version ${major} or newer is installed`,
        remedy: `Install it (Debian: apt-get install postgresql-${major}); nothing of it is started but by drills.`,
      },
    };
  }
  try {
    chooseClient(await context.findClients(signal), server);
    return server;
  } catch (error) {
    signal.throwIfAborted();
    return { lack: { detail: describeError(error), remedy: `Install postgresql-client-${server.major} too.` } };
  }
}

async function userLack(uid: number): Promise<Lack | null> {
  const found = await findScratchUser(uid);
  if (found.kind !== 'none') return null;
  return {
    detail: `the user id ${uid} has no entry in /etc/passwd, which initdb needs`,
    remedy: 'Install libnss-wrapper, or run as a user that has an entry.',
  };
}

// Where it cannot be used, that is a finding of its own.
async function readSpace(directory: string, signal: AbortSignal): Promise<Space | null> {
  const asked = { what: `The directory '${directory}'`, hint: '' };
  return answerOf(asked, { signal, ask: async () => spaceOfScratch(directory) }).catch(() => null);
}

function spaceLack(space: Space, databaseBytes: number): Lack | null {
  const lack = tooLittle(space, predictBytes(databaseBytes));
  return lack === null
    ? null
    : { detail: lack, remedy: 'Mount a larger volume at BACKUP_SCRATCH_DIR, or free space there.' };
}

function restoreLack(space: Space, neededBytes: number): Finding | null {
  if (space.freeBytes >= neededBytes) return null;
  return {
    check: 'restore',
    status: 'warning',
    detail: `a restore with several jobs needs ${formatBytes(neededBytes)} in BACKUP_SCRATCH_DIR, and ${formatBytes(space.freeBytes)} are free; with one job it needs none`,
    remedy: 'Mount a larger volume there, or restore with --jobs 1.',
  };
}
