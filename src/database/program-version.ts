// What a program of PostgreSQL says of its version. A compiled one is asked once a process and file: its answer is part of it, and a
// search asks every installed major at each run, page and drill. A script may look elsewhere for its answer, and is always asked.

import { constants } from 'node:fs';
import { access, open } from 'node:fs/promises';
import { captureChild } from '../stream/child.ts';

/** A version of PostgreSQL. */
export interface ProgramVersion {
  readonly major: number;
  /** As `--version` prints it, without the program's name. */
  readonly version: string;
}

const remembered = new Map<string, ProgramVersion>();

/** The version of `file`, whose name is `program`. Rejects when it cannot be started or answers something else. */
export async function askVersion(
  file: string,
  { program, signal }: { readonly program: 'pg_dump' | 'postgres'; readonly signal: AbortSignal },
): Promise<ProgramVersion> {
  await access(file, constants.X_OK);
  const compiled = await compiledIdentity(file);
  // A program may go by what it is called.
  const identity = compiled === null ? null : `${program} ${compiled}`;
  const known = identity === null ? undefined : remembered.get(identity);
  if (known !== undefined) return known;
  const { code, stdout, stderrTail } = await captureChild(file, { args: ['--version'], env: {}, signal });
  const version = new RegExp(`^${program} \\(PostgreSQL\\) (\\d.*)$`, 'm').exec(stdout)?.[1];
  if (code !== 0 || version === undefined) {
    throw new Error(`'${file} --version' answered '${stdout.trim() || stderrTail}'`);
  }
  const answer = { major: Number.parseInt(version, 10), version };
  if (identity !== null) remembered.set(identity, answer);
  return answer;
}

// A file that is replaced has another one, also where it is written in place. Null: it is no ELF or Mach-O file.
async function compiledIdentity(file: string): Promise<string | null> {
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK).catch(() => null);
  if (handle === null) return null;
  try {
    const magic = Buffer.alloc(4);
    await handle.read(magic, 0, 4, 0);
    if (!['7f454c46', 'cffaedfe'].includes(magic.toString('hex'))) return null;
    const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true });
    return [dev, ino, size, mtimeNs, ctimeNs].join(':');
  } finally {
    await handle.close();
  }
}
