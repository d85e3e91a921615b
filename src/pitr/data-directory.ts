// A data directory that a PostgreSQL of the same version and C library replays to a moment when it is started on it: base, log and
// the settings for replaying, all of it read and held against itself before. For databases too large to be dumped and restored.

import { appendFile, chmod, mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { makeDirectory } from '../disk/directory.ts';
import { AppError, toAppError } from '../errors.ts';
import { unlessFull } from './full-disk.ts';
import { formatMicros } from './moment.ts';
import type { ReplayPlan } from './plan.ts';
import { assertOpenable, layOut, planOrThrow, type LayOutOptions } from './replay.ts';
import { recoverySettings, stagedFolder } from './replay-server.ts';

/** What was laid out. */
export interface DataDirectory {
  readonly directory: string;
  readonly base: string;
  readonly segments: number;
  readonly serverMajor: number;
  readonly superuser: string;
  /** As PostgreSQL writes it; null: there is none behind the base. */
  readonly lastTransactionAt: string | null;
  /** The settings that are to be reset when it runs. */
  readonly settings: readonly string[];
}

/** Lays it out. @throws AppError `restore`, `verify` or `store`; there is nothing in the directory then. */
export async function layOutDataDirectory(
  options: LayOutOptions & { readonly directory: string },
): Promise<DataDirectory> {
  const directory = path.resolve(options.directory);
  const plan = await planOrThrow(options);
  const { base } = plan;
  assertOpenable(base, options);
  await makeEmpty(directory);
  const room = {
    directory,
    needsBytes: base.segmentBytes,
    hint: 'Name a directory on a disk with room for the whole database and its log.',
  };
  try {
    return await unlessFull(room, async () => fill(directory, { ...options, plan }));
  } catch (error) {
    // Half of one might be started on, and would be taken for whole.
    for (const name of await readdir(directory)) await rm(path.join(directory, name), { recursive: true, force: true });
    throw error;
  }
}

async function fill(
  directory: string,
  { plan, ...options }: Parameters<typeof layOutDataDirectory>[0] & { readonly plan: ReplayPlan },
): Promise<DataDirectory> {
  const { base } = plan;
  await mkdir(path.join(directory, stagedFolder), { mode: 0o700 });
  const { staged } = await layOut(plan, { ...options, data: directory, own: async () => undefined });
  const settings = recoverySettings({ ...options, timeline: plan.history.at(-1)?.timeline ?? base.timeline });
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`);
  await appendFile(path.join(directory, 'postgresql.auto.conf'), lines.join(''), { mode: 0o600 });
  await writeFile(path.join(directory, 'recovery.signal'), '', { mode: 0o600 });
  return {
    directory,
    base: base.id,
    segments: staged.segments,
    serverMajor: base.server.major,
    superuser: base.server.superuser,
    lastTransactionAt: staged.lastMicros === null ? null : formatMicros(staged.lastMicros),
    settings: Object.keys(settings),
  };
}

async function makeEmpty(directory: string): Promise<void> {
  try {
    await makeDirectory(directory, { mode: 0o700 });
    if ((await readdir(directory)).length > 0)
      throw new AppError('usage', `'${directory}' is not empty`, {
        hint: 'Name a new directory: what is there is never written over.',
      });
    await chmod(directory, 0o700);
  } catch (error) {
    throw toAppError(error, {
      code: 'restore',
      message: `'${directory}' cannot be written`,
      hint: 'Name a directory on a disk with room for the whole database and its log.',
    });
  }
}
