// An instance that has been backed up for long: its directory of snapshots and its state are made, and a daemon that is started on
// them finds them as its own.

import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { noSigning, type SigningSettings } from '../../src/config/signing-keys.ts';
import { asFolder } from '../../src/schedule/tier.ts';
import { dumpOf, encodeManifest } from '../../src/snapshots/manifest.ts';
import { createSignature } from '../../src/snapshots/sshsig.ts';
import type { SnapshotRecord } from '../../src/state/records.ts';
import { openState } from '../../src/state/state-files.ts';
import type { StatusFacts } from '../../src/status/status.ts';
import { clockVariable } from './clock-ahead.ts';
import { aManifest } from './manifests.ts';
import { freePort } from './postgres-server.ts';
import { quietLog } from './quiet-log.ts';
import { now } from './status-facts.ts';

/** Makes in `folder` what `facts` say, and answers the variables of a daemon there, all but the database's. */
export async function furnish(
  folder: string,
  facts: StatusFacts,
  {
    tables = 1,
    signing = noSigning,
  }: {
    /** So many tables has each manifest; a Mastodon's has some 115. */
    readonly tables?: number;
    /** Whoever signs them. */
    readonly signing?: SigningSettings;
  } = {},
): Promise<Readonly<Record<string, string>>> {
  const state = path.join(folder, 'state');
  const store = path.join(folder, 'backups');
  for (const one of [state, store]) mkdirSync(one);
  const { instance } = facts;
  for (const { snapshots } of facts.stores)
    for (const snapshot of snapshots) putSparse(store, { instance, snapshot, tables, signing });
  // What a daemon shows that waits for its database.
  const stores = facts.stores.map((one) => ({ ...one, name: 'local', description: `directory ${store}` }));
  await remember(state, { ...facts, stores });
  return {
    LOCAL_DOMAIN: instance,
    BACKUP_LOCAL_DIR: store,
    BACKUP_STATE_DIR: state,
    BACKUP_SCRATCH_DIR: path.join(folder, 'scratch'),
    BACKUP_HTTP_PORT: String(await freePort()),
    BACKUP_HTTP_LISTEN: '127.0.0.1',
    [clockVariable]: String(now.getTime() - Date.now()),
  };
}

// A snapshot whose object has its size and no content: nobody reads it here.
function putSparse(
  folder: string,
  {
    instance,
    snapshot,
    tables,
    signing,
  }: {
    readonly instance: string;
    readonly snapshot: SnapshotRecord;
    readonly tables: number;
    readonly signing: SigningSettings;
  },
): void {
  const { id, tier, label = null, dataAt, slot, committedAt, copiedFrom, dumpBytes, objectBytes } = snapshot;
  const sample = aManifest({ tier: asFolder(tier) ?? 'daily', dataAt, slot, label, copiedFrom, instance });
  const dump = dumpOf(sample);
  const part = { ...dump, name: `${id}.dump.xz`, bytes: objectBytes, compression: 'xz' as const };
  const manifest = {
    ...sample,
    id,
    committedAt,
    verified: { method: 'full' as const, at: committedAt },
    database: { ...sample.database, sizeBytes: snapshot.databaseBytes ?? 0, rows: rowsOf(tables, objectBytes) },
    parts: [{ ...part, content: { sha256: dump.sha256, bytes: dumpBytes } }],
  };
  mkdirSync(path.join(folder, tier), { recursive: true });
  const object = path.join(folder, tier, part.name);
  writeFileSync(object, '');
  truncateSync(object, objectBytes);
  const content = encodeManifest(manifest);
  writeFileSync(path.join(folder, tier, `${id}.json`), content);
  if (signing.key !== null)
    writeFileSync(path.join(folder, tier, `${id}.json.sig`), createSignature(content, signing.key));
}

function rowsOf(tables: number, seed: number): Readonly<Record<string, number>> {
  const names = Array.from(
    { length: tables },
    (_, at) => `public.${at === 0 ? 'accounts' : `a_table_of_number_${at}`}`,
  );
  return Object.fromEntries(names.map((name, at) => [name, (seed * (at + 1)) % 9_999_991]));
}

async function remember(directory: string, facts: StatusFacts): Promise<void> {
  const { instance, history, drills, progress } = facts;
  const state = openState({ directory, instance, now: () => now, log: quietLog });
  await state.updateStores(() => ({ instance, stores: [...facts.stores] }));
  await state.updateAttempts(() => facts.attempts);
  if (history !== null) await state.updateHistory(() => history);
  if (drills !== null) await state.updateDrills(() => drills);
  if (progress !== null) await state.updateProgress(progress);
}
