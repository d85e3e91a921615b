// A table whose files a broken disk has spoilt: the server reads it from a copy of its file that a test has changed. Only a
// copy, because what the server has in memory is not read again.

import { chownSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { PostgresServer } from './postgres-server.ts';

/** A block of PostgreSQL's. */
export const pageBytes = 8192;

let next = 900_000;

/** Has the server read `table` from a file that `change` made of its own; what it answers is written, null: nothing. */
export async function damageTable(
  server: PostgresServer,
  options: {
    readonly database: string;
    readonly table: string;
    readonly change: (content: Buffer) => Buffer | null;
  },
): Promise<void> {
  const { database, table, change } = options;
  await server.query('checkpoint');
  const [row] = await server.query(
    `select current_setting('data_directory') as home, pg_relation_filepath('${table}'::regclass) as file`,
    database,
  );
  const file = path.join(String(row?.['home']), String(row?.['file']));
  next += 1;
  const copy = path.join(path.dirname(file), String(next));
  const content = change(readFileSync(file));
  if (content !== null) {
    writeFileSync(copy, content, { mode: 0o600 });
    const { uid, gid } = statSync(file);
    chownSync(copy, uid, gid);
  }
  await server.query(`update pg_class set relfilenode = ${next} where oid = '${table}'::regclass`, database);
}

/** Page number `index` of the file. */
export function pageOf(content: Buffer, index: number): Buffer {
  return content.subarray(index * pageBytes, (index + 1) * pageBytes);
}
