// The extensions that a drill's server creates, by a superuser and before anything of the dump is there: those that stay inside
// the database. What reaches beyond it (other servers, files, languages without limits) is not created for whoever writes into a
// bucket or owns a database; the drill then says what it left out.

import type { Client } from 'pg';

/**
 * Without the mark `trusted`, and harmless: they look at the server or add types, methods and functions of their own, and what
 * is more in them is kept from everybody but a superuser.
 */
const harmless: ReadonlySet<string> = new Set([
  'amcheck',
  'autoinc',
  'bloom',
  'dict_xsyn',
  'earthdistance',
  'hll',
  'hypopg',
  'insert_username',
  'intagg',
  'moddatetime',
  'pageinspect',
  'pg_bigm',
  'pg_buffercache',
  'pg_freespacemap',
  'pg_hint_plan',
  'pg_ivm',
  'pg_logicalinspect',
  'pg_overexplain',
  'pg_prewarm',
  'pg_qualstats',
  'pg_repack',
  'pg_stat_kcache',
  'pg_stat_statements',
  'pg_visibility',
  'pg_wait_sampling',
  'pg_walinspect',
  'pgrowlocks',
  'pgstattuple',
  'postgis',
  'refint',
  'rum',
  'sslinfo',
  'vector',
  'xml2',
]);

/** How the wanted extensions stand in a drill's server. */
export interface DrillExtensions {
  /** The server does not have them. */
  readonly missing: readonly string[];
  /** It has them, and no drill creates them. */
  readonly refused: readonly string[];
}

/** Asks the server for these. */
export async function judgeExtensions(client: Client, wanted: readonly string[]): Promise<DrillExtensions> {
  // Those that the owner of a database may create are marked as trusted (manual, 36.17.1).
  const { rows } = await client.query<{ name: string; trusted: boolean }>(
    `select a.name, coalesce(v.trusted, false) as trusted from pg_available_extensions a
       left join pg_available_extension_versions v on v.name = a.name and v.version = a.default_version`,
  );
  const there = new Map(rows.map(({ name, trusted }) => [name, trusted]));
  const names = [...new Set(wanted)];
  return {
    missing: names.filter((name) => !there.has(name)),
    refused: names.filter((name) => there.get(name) === false && !harmless.has(name)),
  };
}
