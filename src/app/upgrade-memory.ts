// How far an upgrade has come, remembered for the pair of servers it is between: what was done before it was cut off is found
// again, and nothing of another server is ever taken for it.

import type { ConnectionSettings } from '../database/connection.ts';
import type { DatabaseFacts } from '../database/server.ts';
import type { UpgradeRecord } from '../state/records.ts';
import type { AppContext } from './context.ts';

/** Both servers of an upgrade. */
export interface UpgradeServers {
  /** How the new one is reached. */
  readonly connection: ConnectionSettings;
  readonly old: DatabaseFacts;
  readonly next: DatabaseFacts;
}

/** What is remembered of these servers; of others it is nothing. */
export async function recallUpgrade(context: AppContext, servers: UpgradeServers): Promise<UpgradeRecord> {
  const { upgrade } = await context.state().readAttempts();
  return known(upgrade, servers);
}

/** Remembers a step. */
export async function rememberUpgrade(
  context: AppContext,
  { servers, change }: { readonly servers: UpgradeServers; readonly change: Partial<UpgradeRecord> },
): Promise<void> {
  await context.state().updateAttempts(({ upgrade }) => ({ upgrade: { ...known(upgrade, servers), ...change } }));
}

// By its address too: a role that may not ask has no system identifier to tell servers apart.
function known(upgrade: UpgradeRecord | null, { connection, old, next }: UpgradeServers): UpgradeRecord {
  const to = `${connection.host}:${connection.port}`;
  const [from, into] = [old.systemIdentifier, next.systemIdentifier];
  if (upgrade !== null && upgrade.to === to && upgrade.from === from && upgrade.into === into) return upgrade;
  const { serverVersion } = next;
  return {
    to,
    from,
    into,
    serverVersion,
    rehearsal: null,
    dump: null,
    restored: null,
    restoring: null,
    comparedAt: null,
  };
}
