// What is odd about the source when it is dumped: indexes that are not valid, constraints that were never checked, sequences
// behind their tables. Written into the manifest, it lets a drill tell what the backup lost from what was never there.
// It is in the clear, so it names objects and no values; it is bounded; and what cannot be asked is said and harms nothing.

import type { Client } from 'pg';
import { describeError } from '../errors.ts';
import { findSequencesBehind } from './sequences.ts';
import type { Turns } from './turns.ts';

/** Something that was so in the source. */
export interface Oddity {
  /** Such as `invalid-index`; `not-asked`: it is not known whether there is any of the kind in `name`. */
  readonly kind: string;
  /** Of an index or view `schema.name`, of what belongs to a table `schema.table name`. */
  readonly name: string;
  /** For people, without a value out of any row. */
  readonly detail: string;
}

/** A question about one kind of them. */
export interface OddityQuestion {
  readonly kind: string;
  readonly ask: (client: Client) => Promise<readonly Omit<Oddity, 'kind'>[]>;
}

/** All questions together may take so long, in milliseconds: pg_dump waits for them with its first byte. */
const budgetMs = 5_000;
const longestQuestionMs = 2_000;
/** Of each kind so many are named. */
const mostNamed = 50;

const system = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`;

function listed(sql: string): OddityQuestion['ask'] {
  return async (client) => {
    const { rows } = await client.query<{ schema: string; object: string; within: string | null; detail: string }>(sql);
    return rows.map(({ schema, object, within, detail }) => ({
      name: within === null ? `${schema}.${object}` : `${schema}.${object} ${within}`,
      detail,
    }));
  };
}

/** What can be odd about any database. */
export const generalQuestions: readonly OddityQuestion[] = [
  {
    // pg_dump leaves these out, but for those of partitioned tables.
    kind: 'invalid-index',
    ask: listed(`
      select n.nspname as schema, c.relname as object, null as within, 'of ' || t.relname || ', ' ||
             case when not i.indisready then 'not ready' when i.indisunique then 'unique, not valid' else 'not valid' end as detail
        from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
        join pg_namespace n on n.oid = c.relnamespace
       where (not i.indisvalid or not i.indisready) and ${system} order by 1, 2`),
  },
  {
    kind: 'unvalidated-constraint',
    ask: listed(`
      select n.nspname as schema, t.relname as object, x.conname as within,
             case x.contype when 'f' then 'foreign key' when 'c' then 'check' when 'n' then 'not null' else 'constraint' end ||
             case when to_jsonb(x) ->> 'conenforced' = 'false' then ', not enforced' else ', not validated' end as detail
        from pg_constraint x join pg_class t on t.oid = x.conrelid join pg_namespace n on n.oid = t.relnamespace
       where not x.convalidated and ${system} order by 1, 2, 3`),
  },
  {
    kind: 'sequence-behind',
    ask: async (client) => {
      const { behind } = await findSequencesBehind(client, { indexedOnly: true });
      return behind.map(({ schema, sequence, table, column }) => ({
        name: `${schema}.${sequence}`,
        detail: `behind ${table}.${column}`,
      }));
    },
  },
  {
    // While those of a foreign key are off, it keeps nobody from leaving orphans, and still counts as valid.
    kind: 'disabled-trigger',
    ask: listed(`
      select distinct n.nspname as schema, t.relname as object, coalesce(x.conname, g.tgname) as within,
             case when x.oid is null then 'disabled' else 'the constraint is not enforced: its triggers are disabled' end as detail
        from pg_trigger g join pg_class t on t.oid = g.tgrelid join pg_namespace n on n.oid = t.relnamespace
        left join pg_constraint x on x.oid = g.tgconstraint and g.tgisinternal
       where g.tgenabled = 'D' and ${system} order by 1, 2, 3`),
  },
  {
    kind: 'unpopulated-view',
    ask: listed(`
      select n.nspname as schema, c.relname as object, null as within, 'never filled' as detail
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
       where c.relkind = 'm' and not c.relispopulated and ${system} order by 1, 2`),
  },
  { kind: 'collation-version', ask: askCollationVersion },
];

// The C library or ICU was changed under the database: its indexes may be in another order than it now expects. PostgreSQL
// knows since version 15.
async function askCollationVersion(client: Client): Promise<readonly Omit<Oddity, 'kind'>[]> {
  const { rows: known } = await client.query<{ known: boolean }>(
    "select to_regprocedure('pg_database_collation_actual_version(oid)') is not null as known",
  );
  if (known[0]?.known !== true) return [];
  const { rows } = await client.query<{ name: string; noted: string; actual: string }>(
    `select datname as name, datcollversion as noted, pg_database_collation_actual_version(oid) as actual
       from pg_database where datname = current_database() and datcollversion <> pg_database_collation_actual_version(oid)`,
  );
  return rows.map(({ name, noted, actual }) => ({
    name,
    detail: `collation version ${noted}, the server has ${actual}`,
  }));
}

/**
 * Asks them one after the other, each in a subtransaction of the open transaction of `client` and in a turn of its own.
 * Rejects only when the connection is lost.
 */
export async function readOddities(
  client: Client,
  { questions, turns }: { readonly questions: readonly OddityQuestion[]; readonly turns: Turns },
): Promise<readonly Oddity[]> {
  const found: Oddity[] = [];
  const deadline = performance.now() + budgetMs;
  for (const question of questions) {
    const leftMs = Math.round(Math.min(longestQuestionMs, deadline - performance.now()));
    if (leftMs <= 0) {
      found.push({ kind: 'not-asked', name: question.kind, detail: 'the other questions took too long' });
      continue;
    }
    found.push(...(await turns.take(async () => askOne(client, { ...question, leftMs }))));
  }
  return found;
}

async function askOne(
  client: Client,
  { kind, ask, leftMs }: OddityQuestion & { readonly leftMs: number },
): Promise<readonly Oddity[]> {
  await client.query(`savepoint question; set local statement_timeout = ${leftMs}`);
  try {
    const answers = await ask(client);
    await client.query('release savepoint question; set local statement_timeout = 0');
    const named = answers.slice(0, mostNamed).map((answer) => ({ kind, ...answer }));
    const more = answers.length - named.length;
    return more > 0 ? [...named, { kind, name: '', detail: `and ${more} more` }] : named;
  } catch (error) {
    await client.query('rollback to savepoint question; set local statement_timeout = 0');
    return [{ kind: 'not-asked', name: kind, detail: describeError(error) }];
  }
}
