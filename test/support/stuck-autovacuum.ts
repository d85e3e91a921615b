// A worker of autovacuum that stays in a database: it goes through a table's dead rows a page at a time.

import type { PostgresServer } from './postgres-server.ts';
import { until } from './until.ts';

/** Waits until one is in the database; the server's settings are as before when disposed. */
export async function holdAutovacuumIn(server: PostgresServer, database: string): Promise<AsyncDisposable> {
  await server.query("alter system set autovacuum_naptime = '1s'");
  await server.query('select pg_reload_conf()');
  await server.query(
    `create table dead (id integer) with (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
     insert into dead select generate_series(1, 100000); delete from dead`,
    database,
  );
  await until('autovacuum in the database', {
    seconds: 60,
    look: async () =>
      (await server.query(`select from pg_stat_activity where datname = '${database}' and usesysid is null`)).length >
      0,
  });
  return {
    async [Symbol.asyncDispose]() {
      await server.query('alter system reset all');
      await server.query('select pg_reload_conf()');
    },
  };
}
