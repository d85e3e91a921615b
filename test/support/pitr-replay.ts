// What tests of moments share: a base as the daemon makes it, a replay as a restore does it, and counters in a table that say
// which moment came back.

import type { ConnectionSettings } from '../../src/database/connection.ts';
import { connect } from '../../src/database/connection.ts';
import { findServers } from '../../src/database/server-programs.ts';
import { makeBase } from '../../src/pitr/base.ts';
import { parseMoment } from '../../src/pitr/moment.ts';
import { chooseChain } from '../../src/pitr/chain-choice.ts';
import { replay, type Replayed } from '../../src/pitr/replay.ts';
import type { BaseDocument } from '../../src/snapshots/base-document.ts';
import type { Chain } from '../../src/snapshots/chain-catalogue.ts';
import type { Repository } from '../../src/snapshots/repository.ts';
import path from 'node:path';
import type { Log } from '../../src/log.ts';
import { createRemains, type Remains } from '../../src/stream/remains.ts';
import { quietLog } from './quiet-log.ts';
import { reachableBinaries, type ServerMajor } from './postgres-server.ts';

const signal = new AbortController().signal;

/** Makes a base backup. */
export async function takeBase(
  connection: ConnectionSettings,
  {
    repository,
    recipients = [],
    walWaitMs = 60_000,
    stallTimeoutMs = 60_000,
  }: {
    readonly repository: Repository;
    readonly recipients?: readonly string[];
    readonly walWaitMs?: number;
    readonly stallTimeoutMs?: number;
  },
): Promise<BaseDocument> {
  return makeBase({
    connection,
    repository,
    instance: 'example.social',
    toolVersion: '0.0.0-test',
    compression: { kind: 'zstd', level: 3, threads: 1 },
    recipients,
    threads: 1,
    stallTimeoutMs,
    walWaitMs,
    now: () => new Date(),
    log: quietLog,
    signal,
    onProgress: () => undefined,
  });
}

/** What is stored. */
export async function storedChain(repository: Repository): Promise<Chain> {
  return (await chooseChain(repository, { instance: null, acceptUnsigned: false, signal })).chain;
}

/** Brings a moment back. */
export async function bringBack(
  repository: Repository,
  options: {
    readonly at: string;
    readonly major: ServerMajor;
    readonly directory: string;
    readonly identities?: readonly string[];
    readonly niceness?: number;
    readonly remains?: Remains;
    readonly log?: Log;
  },
): Promise<Replayed> {
  return replay({
    repository,
    chain: await storedChain(repository),
    moment: parseMoment(options.at, { timeZone: 'UTC' }),
    identities: options.identities ?? [],
    threads: 1,
    servers: await findServers({ directory: path.join(reachableBinaries(options.major), 'bin'), path: '', signal }),
    scratchDirectory: options.directory,
    scratchOwner: '0123ab',
    use: 'restore',
    uid: process.getuid?.() ?? 0,
    niceness: options.niceness ?? 0,
    remains: options.remains ?? createRemains(),
    onProgress: () => undefined,
    log: options.log ?? quietLog,
    signal,
  });
}

/** The rows of a replayed server's query. */
export async function askReplayed(
  replayed: Replayed,
  sql: string,
  database = 'postgres',
): Promise<readonly Record<string, unknown>[]> {
  await using client = await connect(replayed.server.connection(database), signal);
  return (await client.query<Record<string, unknown>>(sql)).rows;
}
