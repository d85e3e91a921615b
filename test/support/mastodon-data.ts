// Fills the structure with data that behaves like a real instance's: text in many scripts, keys, hashes and URLs with random
// parts, NULLs, a few big rows. It compresses about 4:1 with xz 6; data like repeat('a') would make every figure a lie.

import { Client } from 'pg';
import type { ConnectionSettings } from '../../src/database/connection.ts';
import { mastodonSchema, oddities } from './mastodon-schema.ts';
import type { PostgresServer } from './postgres-server.ts';

// Uncompressed dump bytes that one account with everything that belongs to it comes to; measured.
const bytesPerAccount = 27_500;

/** Creates the database `name`, about `megabytes` MB as a plain dump, owned by the role `mastodon`. */
export async function createMastodonDatabase(
  server: Pick<PostgresServer, 'createDatabase' | 'mastodon'>,
  options: { readonly name: string; readonly megabytes: number; readonly withOddities?: boolean },
): Promise<void> {
  await server.createDatabase(options.name);
  await fillMastodonDatabase(server.mastodon(options.name), options);
}

/** Makes structure and rows in an empty database, as whoever `connection` says. */
export async function fillMastodonDatabase(
  connection: ConnectionSettings,
  options: { readonly megabytes: number; readonly withOddities?: boolean },
): Promise<void> {
  const client = await connectTest(connection);
  try {
    await client.query("set synchronous_commit = off; set work_mem = '64MB'");
    await client.query(mastodonSchema);
    await client.query(fillers(Math.max(10, Math.round((options.megabytes * 1_000_000) / bytesPerAccount))));
    if (options.withOddities === true) await client.query(oddities);
  } finally {
    await client.end();
  }
}

/** Exact row counts by `schema.table`, as the manifest writes them. */
export async function countRows(connection: ConnectionSettings): Promise<Record<string, number>> {
  const client = await connectTest(connection);
  try {
    const { rows: tables } = await client.query<{ schema: string; name: string; quoted: string }>(
      `select n.nspname as schema, c.relname as name, format('%I.%I', n.nspname, c.relname) as quoted
         from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname not like 'pg\\_%' and n.nspname <> 'information_schema' order by 1, 2`,
    );
    const counts: Record<string, number> = {};
    for (const { schema, name, quoted } of tables) {
      const { rows } = await client.query<{ count: string }>(`select count(*) from ${quoted}`);
      const plain = (text: string): string => (/[."]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
      counts[`${plain(schema)}.${plain(name)}`] = Number(rows[0]?.count);
    }
    return counts;
  } finally {
    await client.end();
  }
}

/** An open `pg` client. */
export async function connectTest(connection: ConnectionSettings): Promise<Client> {
  const client = new Client({ ...connection, ssl: false });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

// Words of several scripts; sentences of them are what compresses in a real dump, the random parts are what does not.
const words =
  'the of and a to in is you that it he was for on are as with his they at be this have from or one had by word but not what all were we when your can said there use an each which she do how their if will up other about out many then them these so some her would make like him into time has look two more write go see number no way could people my than first water been call who oil its now find long down day did get come made may part 日本 今日は 写真 猫 天気 食べ 東京 ありがとう schöne Grüße straße über Käse être déjà naïve señor mañana привет мир спасибо хорошо مرحبا بالعالم سلام שלום עולם 😀 🎉 🦣 🐘 🌈 café résumé e\u0301 #mastodon #photography #cats https mastodon server instance boost toot thread fediverse'.split(
    ' ',
  );

function fillers(accounts: number): string {
  const text = (count: string): string =>
    `(select string_agg(w[1 + floor(random() * array_length(w, 1))::int + 0 * g], ' ') from generate_series(1, (${count})::int + 0 * n) g)`;
  const hex = (seed: string): string => `md5(${seed} || random()::text)`;
  const key = `(select string_agg(encode(decode(md5(random()::text || g || n), 'hex'), 'base64'), E'\\n') from generate_series(1, 14) g)`;
  const when = `timestamp '2024-01-01' + random() * interval '690 days'`;
  const statuses = accounts * 25;
  // 1.3 MB, but no more than a tenth of what there is; always longer than what is read at once.
  const bigRowWords = Math.min(40_000, Math.max(4_000, accounts * 80));
  // Rows are joined to accounts and statuses by their number: an array of ids would be unpacked whole for every row.
  const joinAccount = (number: string, alias = 'a'): string =>
    `join ids_now ${alias} on ${alias}.k = 1 + (${number}) % ${accounts}`;
  const joinStatus = (number: string): string => `join statuses_now s on s.k = 1 + (${number}) % ${statuses}`;
  const w = `(select array[${words.map((word) => `'${word}'`).join(',')}]) vocabulary(w)`;
  // As Mastodon does for what comes from elsewhere: an id made of the time it was written, not of now.
  const snowflake = (count: number): string =>
    `((1704067200000 + n * ${Math.floor(59_616_000_000 / count)}::bigint) << 16) | (n & 65535)`;
  return `
select setseed(0.42);
insert into accounts (username, domain, private_key, public_key, created_at, updated_at, note, display_name, uri, url, inbox_url, fields, also_known_as, actor_type, avatar_file_name)
select 'user' || n, case when n % 10 = 0 then null else 'host' || (n % 97) || '.example' end,
       case when n % 10 = 0 then E'-----BEGIN RSA PRIVATE KEY-----\\n' || ${key} || E'\\n-----END RSA PRIVATE KEY-----\\n' end,
       E'-----BEGIN PUBLIC KEY-----\\n' || ${key} || E'\\n-----END PUBLIC KEY-----\\n', ${when}, ${when},
       '<p>' || ${text('10 + random() * 40')} || '</p>', ${text('2')}, 'https://host' || (n % 97) || '.example/users/user' || n,
       'https://host' || (n % 97) || '.example/@user' || n, 'https://host' || (n % 97) || '.example/users/user' || n || '/inbox',
       jsonb_build_array(jsonb_build_object('name', 'Web', 'value', 'https://' || ${hex('n::text')} || '.example')),
       case when n % 7 = 0 then array['https://old.example/' || n] end, 'Person', ${hex('n::text')} || '.png'
  from generate_series(1, ${accounts}) n, ${w};
insert into users (email, created_at, updated_at, encrypted_password, account_id, otp_secret, otp_backup_codes, locale, settings, sign_up_ip, current_sign_in_at)
select 'user' || row_number() over (order by id) || '@mail.example', ${when}, ${when}, '$2a$10$' || encode(decode(${hex("'p'")} || substr(${hex("'q'")}, 1, 14), 'hex'), 'base64'), id,
       case when id % 3 = 0 then ${hex("'o'")} end, case when id % 3 = 0 then array[${hex("'b'")}, ${hex("'c'")}] end, 'de',
       '{"web.theme":"contrast"}', ('10.' || floor(random() * 255) || '.' || floor(random() * 255) || '.1')::inet, ${when}
  from accounts where domain is null;
create temp table ids_now as select row_number() over (order by id) as k, id from accounts;
create unique index on ids_now (k);
analyze ids_now;
insert into conversations (uri, created_at, updated_at)
select case when n % 2 = 0 then 'tag:host.example,2025:' || ${hex('n::text')} end, ${when}, ${when} from generate_series(1, ${accounts * 5}) n;
insert into statuses (id, uri, text, created_at, updated_at, url, visibility, spoiler_text, language, conversation_id, local, account_id, ordered_media_attachment_ids)
select ${snowflake(statuses)}, 'https://host' || (n % 97) || '.example/users/user/statuses/' || (110000000000000000 + floor(random() * 5000000000000000))::bigint || n,
       case when n % 20000 = 1 then (select string_agg(md5(random()::text || g || n), ' ') from generate_series(1, ${bigRowWords}) g)
            else '<p>' || ${text('5 + random() * 55')} || ' <a href="https://link.example/' || ${hex('n::text')} || E'">\\\\tab\\t</a></p>\\n' end,
       ${when}, ${when}, 'https://host' || (n % 97) || '.example/@user/' || n, (random() * 3)::int,
       case when n % 12 = 0 then ${text('3')} else '' end, (array['en', 'de', 'ja', 'ar', null])[1 + floor(random() * 5)::int],
       1 + floor(random() * ${accounts * 5}), n % 10 = 0, a.id, case when n % 4 = 0 then array[n::bigint] end
  from generate_series(1, ${statuses}) n ${joinAccount('n * 7919::bigint + n / 13')}, ${w};
create temp table statuses_now as select row_number() over (order by id) as k, id from statuses;
create unique index on statuses_now (k);
analyze statuses_now;
insert into media_attachments (id, status_id, file_file_name, file_content_type, file_file_size, remote_url, account_id, created_at, description, blurhash, file_meta)
select ${snowflake(accounts * 6)}, s.id, ${hex('n::text')} || '.jpg', 'image/jpeg', (random() * 1e6)::int, 'https://files.example/' || ${hex('n::text')} || '/' || ${hex("'r'")} || '.jpg',
       a.id, ${when}, case when n % 3 = 0 then ${text('12')} end, substr(${hex("'h'")}, 1, 28), json_build_object('original', json_build_object('width', n, 'height', 600))
  from generate_series(1, ${accounts * 6}) n ${joinAccount('n')} ${joinStatus('n * 4')}, ${w};
select setval('statuses_id_seq', ${statuses}), setval('media_attachments_id_seq', ${accounts * 6});
insert into status_stats (status_id, replies_count, favourites_count, created_at, updated_at)
select id, (random() * 9)::int, (random() * 50)::int, created_at, updated_at from statuses where id % 2 = 0;
insert into account_stats (account_id, statuses_count, followers_count, created_at, updated_at, last_status_at)
select id, (random() * 900)::int, (random() * 500)::int, created_at, updated_at, case when id % 2 = 0 then updated_at end from accounts;
insert into follows (created_at, updated_at, account_id, target_account_id, uri)
select ${when}, ${when}, a.id, b.id, 'https://host.example/' || ${hex('n::text')}
  from generate_series(1, ${accounts * 8}) n ${joinAccount('n')} ${joinAccount('n * 7 + n / ' + String(accounts), 'b')} on conflict do nothing;
insert into favourites (created_at, account_id, status_id)
select ${when}, a.id, s.id from generate_series(1, ${accounts * 30}) n ${joinAccount('n')} ${joinStatus('n * 11::bigint')} on conflict do nothing;
insert into mentions (status_id, created_at, account_id)
select s.id, ${when}, a.id from generate_series(1, ${accounts * 6}) n ${joinAccount('n * 3')} ${joinStatus('n')} on conflict do nothing;
insert into notifications (activity_id, activity_type, created_at, account_id, from_account_id, type)
select n, (array['Mention', 'Favourite', 'Follow', 'Status'])[1 + n % 4], ${when}, a.id, b.id, lower((array['Mention', 'Favourite', 'Follow', 'Status'])[1 + n % 4])
  from generate_series(1, ${accounts * 15}) n ${joinAccount('n')} ${joinAccount('n * 31::bigint', 'b')};
insert into tags (name, created_at, display_name) select 'tag' || n || substr(md5(n::text), 1, 4), ${when}, case when n % 2 = 0 then 'Tag' || n end from generate_series(1, ${accounts}) n;
insert into statuses_tags select s.id, 1 + n % ${accounts} from generate_series(1, ${accounts * 5}) n ${joinStatus('n * 13::bigint')} on conflict do nothing;
insert into preview_cards (url, title, description, created_at, blurhash)
select 'https://news.example/' || ${hex('n::text')}, ${text('8')}, ${text('25')}, ${when}, substr(${hex("'k'")}, 1, 28) from generate_series(1, ${accounts * 2}) n, ${w};
insert into polls (account_id, status_id, options, cached_tallies, created_at) select a.id, s.id, array['ja', 'nein', 'vielleicht'], array[1, 2, 3], ${when} from generate_series(1, ${accounts}) n ${joinAccount('n')} ${joinStatus('n')};
insert into session_activations (session_id, user_agent, ip, user_id, created_at) select ${hex('id::text')}, 'Mozilla/5.0 (X11; Linux x86_64)', '2001:db8::1', id, ${when} from users;
insert into oauth_applications (name, uid, secret, redirect_uri) values ('Web', ${hex("'u'")}, ${hex("'s'")}, 'urn:ietf:wg:oauth:2.0:oob');
insert into oauth_access_tokens (token, application_id, resource_owner_id, scopes, created_at) select ${hex('id::text')}, 1, id, 'read write follow', ${when} from users;
insert into settings (var, value) values ('site_title', '--- Beispiel'), ('registrations_mode', null);
insert into tombstones (account_id, uri, created_at) select a.id, 'https://gone.example/' || ${hex('n::text')}, ${when} from generate_series(1, ${accounts}) n ${joinAccount('n')};
drop table ids_now, statuses_now;
refresh materialized view instances;
refresh materialized view account_summaries;
refresh materialized view global_follow_recommendations;
analyze;
`;
}
