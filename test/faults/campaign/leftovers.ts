// What nobody may leave behind: processes, open files, sessions of the database, roles and databases of a restore, sockets,
// scratch directories, temporary files, and unfinished uploads that the sweep never takes.

import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCatalogue } from '../../../src/snapshots/catalogue.ts';
import { sweep } from '../../../src/snapshots/deletion-law.ts';
import { belongsToPlace } from '../../../src/snapshots/place-script.ts';
import { createRepository } from '../../../src/snapshots/repository.ts';
import { takeLock } from '../../../src/state/lock.ts';
import { createLocalStore } from '../../../src/storage/local-store.ts';
import { quietLog } from '../../support/quiet-log.ts';
import type { Flavour } from './flavours.ts';
import { processesOf } from './processes.ts';
import { readSnapshots } from './places.ts';
import type { Stage } from './stage.ts';

/** How long what has been told to end may take, in milliseconds. */
const patienceMs = 15_000;
const dayMs = 86_400_000;

/** What may be left. */
export interface Leave {
  /** Whether only what is alive is to be gone: who was killed has cleared nothing away. */
  readonly traces: 'none' | 'any';
  /** Whether the lock of one who was killed may be there: the next who needs it clears it away, and not every one does. */
  readonly staleLocks?: boolean;
}

/** Waits until nothing of the operation is left; what stays is returned. */
export async function leftBehind(stage: Stage, leave: Leave): Promise<readonly string[]> {
  let left: readonly string[] = [];
  const deadline = performance.now() + patienceMs;
  if (leave.staleLocks === true) await clearStaleLocks(stage.stateDirectory);
  for (;;) {
    left = await look(stage, leave);
    if (left.length === 0 || performance.now() > deadline) return left;
    await sleep(50);
  }
}

// By taking them: one that somebody holds stays, and is found.
async function clearStaleLocks(directory: string): Promise<void> {
  const options = { directory, holder: { command: 'leftovers', processId: process.pid }, wait: false } as const;
  const signal = AbortSignal.timeout(patienceMs);
  for (const name of ['run', 'drill'] as const) {
    if (!existsSync(path.join(directory, `${name}.lock`))) continue;
    const lock = await takeLock({ ...options, name, now: () => new Date(), log: quietLog, signal }).catch(() => null);
    await lock?.[Symbol.asyncDispose]();
  }
}

async function look(stage: Stage, { traces }: Leave): Promise<readonly string[]> {
  const { home, line, scratchDirectory, stateDirectory, temporaryDirectory } = stage;
  const processes = processesOf({ home, port: line.port }).map(
    ({ id, command }) => `process ${id} (${command.slice(0, 120)})`,
  );
  const known = ['postgres', 'template0', 'template1', 'mastodon', 'large'];
  const quoted = known.map((name) => `'${name}'`).join();
  const rows = await stage.ask(
    `select 'session ' || pid || ' ' || application_name || ' in ' || coalesce(datname, '') || ', ' || coalesce(state, '') || ': ' || left(query, 80) as what
       from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()
     union all select 'database ' || datname from pg_database where datname not in (${quoted})
     union all select 'role ' || rolname from pg_roles where rolname not in ('postgres', 'mastodon') and rolname not like 'pg\\_%'
     union all select 'prepared transaction ' || gid from pg_prepared_xacts`,
  );
  const names = (directory: string, allowed: RegExp): readonly string[] =>
    (existsSync(directory) ? readdirSync(directory) : [])
      .filter((name) => !allowed.test(name))
      .map((name) => `file ${directory.slice(home.length + 1)}/${name}`);
  const found = [...rows.map(({ what }) => String(what)), ...openFiles(home)];
  // A drill's server outlives a drill that was killed; the next one ends it.
  const alive = processes.filter((what) => !what.includes('/bin/postgres -D'));
  if (traces === 'any') return [...alive, ...found.filter((what) => what.startsWith('session'))];
  return [
    ...processes,
    ...found,
    // Who is killed may leave what was half made; it goes when it is old.
    ...names(stateDirectory, /^([a-z]+\.json|\.probe\.\w+|\w+\.lock\.\w+(-t)?|[a-z]+\.json\.\w+)$/),
    ...names(scratchDirectory, /^$/),
    ...names(temporaryDirectory, /^$/),
  ];
}

// Of this process: one that stays open is room on the disk that nobody sees. What is below a mount that was taken away is named
// from the mount on.
function openFiles(home: string): readonly string[] {
  return readdirSync('/proc/self/fd').flatMap((id) => {
    try {
      const file = readlinkSync(`/proc/self/fd/${id}`);
      return file.startsWith(`${home}/`) || /^\/(?:plain|age|large)\//.test(file) ? [`open file ${file}`] : [];
    } catch {
      return [];
    }
  });
}

/** What is unfinished or without a manifest in both places three days later, after a sweep; and what the sweep should not have taken. */
export async function leftBySweep(stage: Stage, flavour: Flavour): Promise<readonly string[]> {
  const problems: string[] = [];
  const signal = AbortSignal.timeout(60_000);
  const later = new Date(Date.now() + 3 * dayMs);
  for (const place of stage.places(flavour.name)) {
    const directory = flavour.settings['BACKUP_LOCAL_DIR'] ?? '';
    const store = place.name === 's3' ? stage.s3.store() : createLocalStore({ directory });
    const inThreeDays = Object.create(store, { now: { value: async () => later } }) as typeof store;
    const prefix = place.name === 's3' ? `${flavour.name}/` : '';
    const repository = createRepository(inThreeDays, { prefix });
    const before = await readSnapshots(place, (await place.keys()).keys());
    const catalogue = await readCatalogue(repository, { signal });
    await sweep(repository, { catalogue, now: later, timeoutMs: 60_000, log: quietLog, signal });
    const keys = await place.keys();
    const named = new Set(before.snapshots.flatMap((one) => one.keys));
    for (const key of keys.keys())
      if (!named.has(key) && !key.startsWith('drills/') && !belongsToPlace(key))
        problems.push(`${place.name}: the sweep leaves ${key}`);
    for (const key of named) if (!keys.has(key)) problems.push(`${place.name}: the sweep took ${key}`);
    for (const key of await place.unfinished()) problems.push(`${place.name}: the sweep leaves the unfinished ${key}`);
    if (place.name === 'local') await store.close();
  }
  return problems;
}
