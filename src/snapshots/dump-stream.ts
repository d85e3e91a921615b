// A stored snapshot as the plain dump it was, together with the archive's own table of contents, for whoever restores it.

import { Writable } from 'node:stream';
import { createContentsReader, type ArchiveItem } from '../database/archive-contents.ts';
import type { Manifest } from './manifest.ts';
import { readDump, type ReadOptions } from './part-reader.ts';
import type { Repository } from './repository.ts';

/** A snapshot, where it is, and what opens it. */
export interface SnapshotSource {
  readonly repository: Repository;
  readonly manifest: Manifest;
  /** age identities; null: it is not encrypted. */
  readonly identities: readonly string[] | null;
  /** Threads to decompress with. */
  readonly threads: number;
  /** How often a broken download is taken up again; left out: as usual. */
  readonly patience?: ReadOptions['patience'];
}

/** What a stream of a snapshot needs besides. */
export type StreamOptions = Pick<ReadOptions, 'log' | 'signal'> & {
  /** Called with the bytes of the stored object that have been read. */
  readonly onProgress: (objectBytes: number) => void;
};

/** How it ended: all of it was taken, with the archive's table of contents; or `to` closed before the end, and knows why. */
export type StreamOutcome =
  { readonly kind: 'whole'; readonly contents: readonly ArchiveItem[] } | { readonly kind: 'refused' };

/** Streams the dump into `to`; rejects as `readDump` does. */
export async function streamDump(
  source: SnapshotSource,
  { to, log, signal, onProgress }: StreamOptions & { readonly to: Writable },
): Promise<StreamOutcome> {
  const archive = createContentsReader();
  const { identities, threads, patience } = source;
  const how = { log, signal, onProgress, identities, threads, patience, inspector: archive, to };
  if ((await readDump(source, how)) === 'refused') return { kind: 'refused' };
  return { kind: 'whole', contents: archive.contents() };
}

/** The archive's table of contents, from the beginning of the object alone: nothing of it is proven yet. Rejects as `streamDump`. */
export async function readContents(
  source: SnapshotSource,
  options: Pick<StreamOptions, 'log' | 'signal'>,
): Promise<readonly ArchiveItem[]> {
  const archive = createContentsReader();
  const enough = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      try {
        archive.push(chunk);
      } catch (error) {
        callback(error instanceof Error ? error : new Error(String(error)));
        return;
      }
      callback(archive.isDone() ? Object.assign(new Error('That is enough'), { code: 'EPIPE' }) : null);
    },
  });
  // One thread begins at once and ends at once; several would decode some blocks that nobody takes.
  const one = { ...source, threads: 1 };
  const outcome = await streamDump(one, { ...options, to: enough, onProgress: () => undefined });
  return outcome.kind === 'whole' ? outcome.contents : archive.contents();
}
