// The administrator's extra files beside a backup: a tar, so that stock tools give them back under their names. What a tar says its
// files are called may be anybody's invention, who knows a public key: a name that leads out of its directory is refused.

import { createTarReader } from '../codec/tar.ts';
import { describeError } from '../errors.ts';
import { besideProblem, verifyBeside, type BesideToVerify, type BesideVerification } from './beside.ts';
import type { StoredPart } from './part-reader.ts';
import type { Repository } from './repository.ts';

/** A file in the tar. */
export interface ExtraFile {
  /** Relative, and below where it is unpacked. */
  readonly name: string;
  readonly content: Buffer;
}

/** Reads a snapshot's extra files back, and with identities opens them. Throws AppError `verify`, also when they are missing. */
export async function verifyExtra(repository: Repository, options: BesideToVerify): Promise<BesideVerification> {
  return verifyBeside(repository, { ...options, kind: 'extra', look: unpackExtra });
}

/** The files of an opened tar. Throws AppError `verify` when it is none that we would write. */
export function unpackExtra(stored: StoredPart, tar: Buffer): readonly ExtraFile[] {
  try {
    return readTar(tar);
  } catch (error) {
    throw besideProblem(stored, { text: describeError(error), cause: error });
  }
}

function readTar(tar: Buffer): readonly ExtraFile[] {
  const files: ExtraFile[] = [];
  const reader = createTarReader();
  let chunks: Buffer[] = [];
  for (const event of reader.push(tar)) {
    if (event.kind === 'data') chunks.push(event.chunk);
    if (event.kind === 'member' && event.member.kind !== 'file')
      throw new Error(`'${event.member.name}' in it is no file`);
    if (event.kind !== 'end') continue;
    const { name } = event.member;
    if (!isBelow(name)) throw new Error(`'${name}' in it leads out of its directory`);
    if (files.some((one) => one.name === name)) throw new Error(`'${name}' is in it twice`);
    files.push({ name, content: Buffer.concat(chunks) });
    chunks = [];
  }
  reader.finish('end');
  return files;
}

/** Whether a path stays where it is unpacked: relative, without `..`, written as it is meant. */
export function isBelow(name: string): boolean {
  const steps = name.split('/');
  return !/\p{Cc}|\\/u.test(name) && steps.every((step) => step !== '' && step !== '.' && step !== '..');
}
