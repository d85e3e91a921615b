// Whether the programs that are to run beside a backup are there and can be started: one that was not mounted, or lost its mode
// on the way, would be found out by the first backup that it was meant for.

import { constants } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { quote } from '../config/environment.ts';
import { describeError } from '../errors.ts';
import { hooksOf, type Hook } from '../notify/hook.ts';
import type { Examination, Finding } from './finding.ts';

/** Longer first lines than Linux reads of a script. */
const firstBytes = 256;

/** A finding for each hook that is set. */
export async function examineHooks({
  settings,
  uid,
}: Pick<Examination, 'settings' | 'uid'>): Promise<readonly Finding[]> {
  return Promise.all(hooksOf(settings.hooks).map(async (hook) => examineHook(hook, uid)));
}

async function examineHook({ name, file }: Hook, uid: number): Promise<Finding> {
  const found = await lookAt(file, uid);
  if (found === null) return { check: 'hooks', status: 'ok', detail: `${name}: ${file} can be started`, remedy: null };
  const { detail, remedy } = found;
  return { check: 'hooks', status: 'problem', detail: `${name}: ${file} ${detail}; backups go on without it`, remedy };
}

async function lookAt(file: string, uid: number): Promise<{ readonly detail: string; readonly remedy: string } | null> {
  try {
    if ((await stat(file)).isDirectory())
      return {
        detail: 'is a directory; Docker makes one where the file to mount does not exist on the host',
        remedy: 'Remove the directory on the host, put the program there and start the container again.',
      };
    await access(file, constants.X_OK);
    const interpreter = await interpreterOf(file);
    if (interpreter === null) return null;
    return await access(interpreter, constants.X_OK).then(
      () => null,
      () => ({
        detail: `asks for ${interpreter}, which is not here`,
        remedy: 'Write it for a program that is in this container, such as /bin/sh.',
      }),
    );
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      return { detail: 'is not there', remedy: 'Mount it into this container, under that path.' };
    if (code === 'EACCES' || code === 'EPERM')
      return {
        detail: `is not executable for uid ${uid}, as which we run`,
        remedy: `Run on the host, with the file's path there: chmod 0755 ${quote(file)}`,
      };
    return { detail: `cannot be looked at: ${describeError(error)}`, remedy: 'Look at the file.' };
  }
}

// A program that we may start and not read is none of a script.
async function interpreterOf(file: string): Promise<string | null> {
  const handle = await open(file, 'r').catch(() => null);
  if (handle === null) return null;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(firstBytes), 0, firstBytes, 0);
    return /^#![ \t]*(\/\S+)/.exec(buffer.toString('latin1', 0, bytesRead))?.[1] ?? null;
  } finally {
    await handle.close();
  }
}
