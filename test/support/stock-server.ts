// A server as the stock compose file has it: the `pg_hba.conf` that the image `postgres` writes, reached from an address that is
// not the loopback's. Through that one nobody gets in with `replication=true`, which is what the tests are about.

import { writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { startPostgres, testPassword, type PostgresServer, type ServerMajor } from './postgres-server.ts';

/** A server with the stock rules of access. */
export interface StockServer extends PostgresServer {
  readonly address: string;
  /** How the superuser reaches a database from outside. */
  outside(database?: string): ConnectionSettings;
  /** The data directory. */
  readonly data: string;
}

// As initdb writes it for the image, and the line that the image's entrypoint adds.
const stockRules = `
local   all             all                                     trust
host    all             all             127.0.0.1/32            trust
host    all             all             ::1/128                 trust
local   replication     all                                     trust
host    replication     all             127.0.0.1/32            trust
host    replication     all             ::1/128                 trust
host all all all scram-sha-256
`;

/** The first IPv4 address of this machine that is not the loopback's. */
export function outsideAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const found = all.find(({ family, internal }) => family === 'IPv4' && !internal);
  if (found === undefined) throw new Error('This machine has no address but the loopback');
  return found.address;
}

/** Starts one. */
export async function startStockServer(
  major: ServerMajor,
  {
    settings = {},
    on = 'memory',
    segmentMegabytes = 16,
  }: Pick<Parameters<typeof startPostgres>[0], 'settings' | 'on' | 'segmentMegabytes'> = {},
): Promise<StockServer> {
  const address = outsideAddress();
  const server = await startPostgres({
    major,
    on,
    segmentMegabytes,
    settings: {
      listen_addresses: `127.0.0.1,${address}`,
      wal_level: 'replica',
      max_wal_senders: '10',
      password_encryption: 'scram-sha-256',
      full_page_writes: 'on',
      ...settings,
    },
  });
  const data = path.join(server.socketDirectory, 'data');
  await server.query(`alter role postgres password '${testPassword}'`);
  writeFileSync(path.join(data, 'pg_hba.conf'), stockRules);
  await server.query('select pg_reload_conf()');
  await sleep(200);
  return {
    ...server,
    // Through the log, as the server itself does where nobody says otherwise: it is what is followed.
    async createDatabase(name) {
      await server.query(`create database "${name}" owner mastodon template template0 encoding 'UTF8'`);
    },
    address,
    data,
    outside: (database = 'postgres') => ({ ...server.superuser(database), host: address }),
    [Symbol.asyncDispose]: async () => server[Symbol.asyncDispose](),
  };
}
