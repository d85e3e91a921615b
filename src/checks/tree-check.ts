// The trees of the indexes, walked by amcheck's functions. Whoever made the database has lent them to the role that checks it:
// they are a superuser's else, and none may meet what a dump has brought.

import type { Client } from 'pg';
import { failed, list, note, ok, type CheckResult } from './check.ts';
import { askEach, leftOpen } from './unanswered.ts';

/** Walks every B-tree, without the rows that it stands for; what it looks at it looks at as the role of the session. */
export async function checkTrees(client: Client): Promise<readonly CheckResult[]> {
  const { rows: lent } = await client.query<{ check: string }>(
    `select format('%I.bt_index_check', n.nspname) as check from pg_extension e join pg_namespace n on n.oid = e.extnamespace
       join pg_proc p on p.pronamespace = n.oid and p.proname = 'bt_index_check' and p.pronargs = 1
      where e.extname = 'amcheck' and has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute')`,
  );
  const [{ check } = {}] = lent;
  if (check === undefined)
    return [note('amcheck', 'the extension is not there: the trees of the indexes were not walked')];
  const { rows } = await client.query<{ oid: number; name: string }>(
    `select c.oid, c.oid::regclass::text as name from pg_index i join pg_class c on c.oid = i.indexrelid
       join pg_am a on a.oid = c.relam join pg_namespace n on n.oid = c.relnamespace
      where a.amname = 'btree' and c.relkind = 'i' and n.nspname !~ '^pg_' and i.indisvalid order by 2`,
  );
  const { broken, open } = await askEach(rows, {
    name: ({ name }) => name,
    ask: async ({ oid }) => client.query(`select ${check}($1::oid::regclass)`, [oid]),
  });
  return [
    broken.length === 0
      ? ok('amcheck', `${rows.length - open.length} B-trees walked`)
      : failed('amcheck', {
          detail: list(broken.map(({ text }) => text)),
          remedy: 'Check the memory and disk of this host.',
        }),
    ...leftOpen(open),
  ];
}
