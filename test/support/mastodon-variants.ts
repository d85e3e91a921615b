// Mastodons that are not today's stock one: the next release's tables, a release of 3.x, the wizard's stock Docker instance
// in the database `postgres`, tables in a schema of their own, extensions in schemas of theirs. People have all of them.

import { connectTest, fillMastodonDatabase } from './mastodon-data.ts';
import type { PostgresServer } from './postgres-server.ts';

/** Which one. */
export type MastodonVariant = 'stock' | '4.7' | '3.x' | 'own-schema' | 'extensions-apart' | 'wizard';

/** The schema of `own-schema`'s tables. */
export const ownSchema = 'masto';

// 4.7 turns two materialised views into tables, whose sequences nobody ever uses.
const next = `
drop materialized view account_summaries, global_follow_recommendations;
create table account_summaries (
  account_id bigserial primary key references accounts (id) on delete cascade, language varchar, sensitive boolean
);
create table global_follow_recommendations (
  account_id bigserial primary key references accounts (id) on delete cascade, rank numeric
);
insert into account_summaries select account_id, min(language), bool_or(sensitive) from statuses group by account_id;
insert into global_follow_recommendations select target_account_id, count(*) from follows group by target_account_id;
insert into schema_migrations values ('20260901120000');
`;

// 3.0: no materialised views, second factors encrypted by devise, boolean roles, `local` null on the oldest posts.
const old = `
drop materialized view account_summaries, global_follow_recommendations, instances;
drop view user_ips;
drop table ip_blocks;
alter table accounts drop column indexable;
alter table follows drop column languages;
alter table statuses drop column edited_at, drop column ordered_media_attachment_ids;
alter table users drop column otp_secret, drop column settings, drop column time_zone,
  add column encrypted_otp_secret varchar, add column encrypted_otp_secret_iv varchar, add column encrypted_otp_secret_salt varchar,
  add column admin boolean default false not null, add column moderator boolean default false not null;
alter table accounts add column secret varchar default '' not null, add column salmon_url varchar default '' not null,
  add column hub_url varchar default '' not null, add column protocol integer default 0 not null;
update statuses set local = null where id in (select id from statuses order by id limit 20);
update statuses set uri = null where id in (select id from statuses where local is null order by id limit 10);
delete from schema_migrations where version > '20190927232842';
insert into schema_migrations values ('20190927232842');
`;

/** Creates the database `name` with it, about `megabytes` MB; of `wizard` it is `postgres` and belongs to the superuser. */
export async function createMastodonVariant(
  server: PostgresServer,
  options: { readonly name: string; readonly variant: MastodonVariant; readonly megabytes: number },
): Promise<void> {
  const { name, variant, megabytes } = options;
  if (variant === 'wizard') {
    await fillMastodonDatabase(server.superuser(name), { megabytes });
    return;
  }
  await server.createDatabase(name);
  if (variant === 'own-schema') {
    await server.query(`create schema ${ownSchema} authorization mastodon`, name);
    await server.query(`alter role mastodon in database "${name}" set search_path = ${ownSchema}`);
  }
  if (variant === 'extensions-apart') {
    // earthdistance needs cube.
    await server.query(
      `create schema tools; create schema words; grant usage on schema tools, words to mastodon;
       create extension cube schema tools; create extension earthdistance schema tools;
       create extension pg_trgm schema tools; create extension citext schema words`,
      name,
    );
  }
  await fillMastodonDatabase(server.mastodon(name), { megabytes });
  const changes = {
    stock: '',
    '4.7': next,
    '3.x': old,
    'own-schema': '',
    'extensions-apart': `
      create index statuses_text_trgm on statuses using gin (text tools.gin_trgm_ops);
      alter table tags add column folded words.citext;
      update tags set folded = name;
      create index places on accounts using gist (tools.cube(id::double precision));`,
  }[variant];
  const client = await connectTest(server.mastodon(name));
  try {
    await client.query(changes);
  } finally {
    await client.end();
  }
}
