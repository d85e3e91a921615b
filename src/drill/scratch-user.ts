// Whom a throw-away server runs as. PostgreSQL refuses root, and `initdb` a user id without an entry in the password
// database, which is what a container with an asserted user id has.

import { existsSync } from 'node:fs';
import { chown, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import path from 'node:path';
import { AppError } from '../errors.ts';

/** What children of the server are started with. */
export interface ScratchUser {
  /** Null: as we are. */
  readonly user: { readonly uid: number; readonly gid: number } | null;
  readonly env: Readonly<Record<string, string>>;
}

/** The user `nobody` of Debian, whom a server of root's is given to. */
export const nobody = { uid: 65_534, gid: 65_534 } as const;

const wrappers = [
  '/usr/lib/x86_64-linux-gnu/libnss_wrapper.so',
  '/usr/lib/aarch64-linux-gnu/libnss_wrapper.so',
  '/usr/lib64/libnss_wrapper.so',
  '/usr/lib/libnss_wrapper.so',
];

/** Whom a server can run as where we are `uid`: `nobody`, we ourselves, or we with an entry that `wrapper` makes up. */
export async function findScratchUser(
  uid: number,
): Promise<
  { readonly kind: 'nobody' | 'ourselves' | 'none' } | { readonly kind: 'wrapped'; readonly wrapper: string }
> {
  if (uid === 0) return { kind: 'nobody' };
  if (hasEntry()) return { kind: 'ourselves' };
  const wrapper = wrappers.find((file) => existsSync(file));
  return wrapper === undefined ? { kind: 'none' } : { kind: 'wrapped', wrapper };
}

/**
 * Prepares `directory`, which must be ours, for whoever the server runs as.
 * @throws AppError `drill` when our user id has no entry and libnss_wrapper is not installed.
 */
export async function prepareScratchUser(directory: string, uid: number): Promise<ScratchUser> {
  const found = await findScratchUser(uid);
  switch (found.kind) {
    case 'nobody':
      await chown(directory, nobody.uid, nobody.gid);
      return { user: nobody, env: {} };
    case 'ourselves':
      return { user: null, env: {} };
    case 'none':
      throw new AppError('drill', `The user id ${uid} has no entry in /etc/passwd, which PostgreSQL's initdb needs`, {
        hint: 'Install libnss-wrapper, or run as a user that has an entry.',
      });
    case 'wrapped': {
      const passwd = path.join(directory, 'passwd');
      const group = path.join(directory, 'group');
      await writeFile(passwd, `postgres:x:${uid}:${uid}:throw-away server:${directory}:/bin/sh\n`);
      await writeFile(group, `postgres:x:${uid}:\n`);
      return { user: null, env: { LD_PRELOAD: found.wrapper, NSS_WRAPPER_PASSWD: passwd, NSS_WRAPPER_GROUP: group } };
    }
    default:
      return found satisfies never;
  }
}

/** Gives a file of ours to whoever the server runs as. */
export async function giveTo({ user }: ScratchUser, file: string): Promise<void> {
  if (user !== null) await chown(file, user.uid, user.gid);
}

function hasEntry(): boolean {
  try {
    userInfo();
    return true;
  } catch {
    return false;
  }
}
