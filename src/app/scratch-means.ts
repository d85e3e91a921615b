// What drills, `open` and the replay of a moment start their throw-away servers with, the same for all: a program that one of them
// finds must not be missing for another.

import { identitiesOf } from '../config/age-keys.ts';
import { findServers, type ServerPrograms } from '../database/server-programs.ts';
import type { ScratchSource } from '../drill/scratch-restore.ts';
import type { ServerMeans } from '../drill/server-home.ts';
import type { SnapshotSource } from '../snapshots/dump-stream.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import type { Repository } from '../snapshots/repository.ts';
import type { AppContext } from './context.ts';
import { scratchOwnerOf } from './scratch.ts';

/** What is on this machine for a throw-away server. */
export type ScratchMeans = Omit<ScratchSource, 'source'> & Omit<ServerMeans, 'signal'>;

/** The servers that are installed here. */
export async function scratchServers(context: AppContext, signal: AbortSignal): Promise<readonly ServerPrograms[]> {
  const path = context.environment.get('PATH')?.text ?? '';
  return findServers({ directory: context.load().settings.pgBin, path, signal });
}

/** Looks for the programs. */
export async function scratchMeans(context: AppContext, signal: AbortSignal): Promise<ScratchMeans> {
  const { scratchDirectory, stallTimeoutMs, niceness } = context.load().settings;
  const { uid, remains, log } = context;
  return {
    servers: await scratchServers(context, signal),
    clients: await context.findClients(signal),
    scratchDirectory,
    scratchOwner: scratchOwnerOf(context),
    uid,
    remains,
    stallTimeoutMs,
    niceness,
    log,
  };
}

/** A stored snapshot, as it is read for a throw-away server; `given`: private keys beside those of the settings. */
export function sourceOf(
  context: AppContext,
  {
    repository,
    manifest,
    given,
  }: { readonly repository: Repository; readonly manifest: Manifest; readonly given: readonly string[] },
): SnapshotSource {
  const { threads, keys } = context.load().settings;
  const isEncrypted = dumpOf(manifest).encryption !== null;
  return {
    repository,
    manifest,
    threads,
    patience: context.readPatience,
    identities: isEncrypted ? [...given, ...identitiesOf(keys)] : null,
  };
}
