// A database with the shape of Mastodon's: the tables that matter, their sequences, `timestamp_id` ids, unique and partial
// indexes, foreign keys, materialised views and schema_migrations. Names and types follow Mastodon 4.5.

/** Statements that create the structure in an empty database. */
export const mastodonSchema = `
create function timestamp_id(table_name text) returns bigint as $$
  declare
    time_part bigint;
    sequence_base bigint;
    tail bigint;
  begin
    time_part := (date_part('epoch', now()) * 1000)::bigint << 16;
    sequence_base := ('x' || substr(md5(table_name || '5a0c2e9f4b7d1e83' || time_part::text), 1, 4))::bit(16)::bigint;
    tail := ((sequence_base + nextval(table_name || '_id_seq')) & 65535);
    return time_part | tail;
  end
$$ language plpgsql volatile;

create sequence accounts_id_seq;
create table accounts (
  id bigint primary key default timestamp_id('accounts'), username varchar default '' not null, domain varchar,
  private_key text, public_key text default '' not null, created_at timestamp not null, updated_at timestamp not null,
  note text default '' not null, display_name varchar default '' not null, uri varchar default '' not null, url varchar,
  avatar_file_name varchar, avatar_file_size integer, locked boolean default false not null,
  inbox_url varchar default '' not null, fields jsonb, also_known_as varchar[], suspended_at timestamp,
  actor_type varchar, discoverable boolean, indexable boolean default false not null
);
create unique index index_accounts_on_username_and_domain_lower on accounts (lower(username), coalesce(lower(domain), ''));
create index index_accounts_on_uri on accounts (uri);
create index index_accounts_on_domain_and_id on accounts (domain, id);

create table users (
  id bigserial primary key, email varchar default '' not null, created_at timestamp not null, updated_at timestamp not null,
  encrypted_password varchar default '' not null, sign_in_count integer default 0 not null, current_sign_in_at timestamp,
  account_id bigint not null references accounts (id) on delete cascade, otp_secret varchar, otp_backup_codes varchar[],
  locale varchar, settings text, approved boolean default true not null, sign_up_ip inet, time_zone varchar
);
create unique index index_users_on_email on users (email);
create index index_users_on_account_id on users (account_id);
create index index_users_on_unconfirmed on users (created_at) where approved = false;

create sequence conversations_id_seq;
create table conversations (
  id bigint primary key default nextval('conversations_id_seq'), uri varchar, created_at timestamp not null, updated_at timestamp not null
);
create unique index index_conversations_on_uri on conversations (uri) where uri is not null;

create sequence statuses_id_seq;
create table statuses (
  id bigint primary key default timestamp_id('statuses'), uri varchar, text text default '' not null,
  created_at timestamp not null, updated_at timestamp not null, in_reply_to_id bigint references statuses (id) on delete set null,
  reblog_of_id bigint references statuses (id) on delete cascade, url varchar, sensitive boolean default false not null,
  visibility integer default 0 not null, spoiler_text text default '' not null, reply boolean default false not null,
  language varchar, conversation_id bigint references conversations (id) on delete set null, local boolean,
  account_id bigint not null references accounts (id) on delete cascade, deleted_at timestamp, edited_at timestamp,
  ordered_media_attachment_ids bigint[]
);
create unique index index_statuses_on_uri on statuses (uri) where uri is not null;
create index index_statuses_20190820 on statuses (account_id, id desc, visibility, updated_at) where deleted_at is null;
create index index_statuses_local_20190824 on statuses (id desc, account_id) where local and deleted_at is null;

create sequence media_attachments_id_seq;
create table media_attachments (
  id bigint primary key default timestamp_id('media_attachments'), status_id bigint references statuses (id) on delete set null,
  file_file_name varchar, file_content_type varchar, file_file_size integer, remote_url varchar default '' not null,
  account_id bigint references accounts (id) on delete set null, created_at timestamp not null, description text,
  blurhash varchar, file_meta json, type integer default 0 not null
);
create index index_media_attachments_on_status_id on media_attachments (status_id);

create table status_stats (
  id bigserial primary key, status_id bigint not null unique references statuses (id) on delete cascade,
  replies_count bigint default 0 not null, reblogs_count bigint default 0 not null, favourites_count bigint default 0 not null,
  created_at timestamp not null, updated_at timestamp not null
);
create table account_stats (
  id bigserial primary key, account_id bigint not null unique references accounts (id) on delete cascade,
  statuses_count bigint default 0 not null, following_count bigint default 0 not null, followers_count bigint default 0 not null,
  created_at timestamp not null, updated_at timestamp not null, last_status_at timestamp
);
create table follows (
  id bigserial primary key, created_at timestamp not null, updated_at timestamp not null,
  account_id bigint not null references accounts (id) on delete cascade,
  target_account_id bigint not null references accounts (id) on delete cascade,
  show_reblogs boolean default true not null, uri varchar, languages varchar[]
);
create unique index index_follows_on_account_id_and_target_account_id on follows (account_id, target_account_id);
create table blocks (
  id bigserial primary key, created_at timestamp not null, account_id bigint not null references accounts (id) on delete cascade,
  target_account_id bigint not null references accounts (id) on delete cascade, uri varchar
);
create unique index index_blocks_on_account_id_and_target_account_id on blocks (account_id, target_account_id);
create table mutes (
  id bigserial primary key, created_at timestamp not null, account_id bigint not null references accounts (id) on delete cascade,
  target_account_id bigint not null references accounts (id) on delete cascade, hide_notifications boolean default true not null
);
create unique index index_mutes_on_account_id_and_target_account_id on mutes (account_id, target_account_id);
create table favourites (
  id bigserial primary key, created_at timestamp not null, account_id bigint not null references accounts (id) on delete cascade,
  status_id bigint not null references statuses (id) on delete cascade
);
create unique index index_favourites_on_account_id_and_status_id on favourites (account_id, status_id);
create table bookmarks (
  id bigserial primary key, account_id bigint not null references accounts (id) on delete cascade,
  status_id bigint not null references statuses (id) on delete cascade, created_at timestamp not null
);
create table mentions (
  id bigserial primary key, status_id bigint not null references statuses (id) on delete cascade, created_at timestamp not null,
  account_id bigint not null references accounts (id) on delete cascade, silent boolean default false not null
);
create unique index index_mentions_on_account_id_and_status_id on mentions (account_id, status_id);
create table notifications (
  id bigserial primary key, activity_id bigint not null, activity_type varchar not null, created_at timestamp not null,
  account_id bigint not null references accounts (id) on delete cascade,
  from_account_id bigint not null references accounts (id) on delete cascade, type varchar, filtered boolean default false not null
);
create index index_notifications_on_account_id_and_id on notifications (account_id, id desc);
create table tags (
  id bigserial primary key, name varchar default '' not null, created_at timestamp not null, usable boolean, display_name varchar
);
create unique index index_tags_on_name_lower_btree on tags (lower(name) text_pattern_ops);
create table statuses_tags (status_id bigint not null references statuses (id) on delete cascade, tag_id bigint not null references tags (id) on delete cascade, primary key (tag_id, status_id));
create table preview_cards (
  id bigserial primary key, url varchar default '' not null, title varchar default '' not null, description varchar default '' not null,
  html text default '' not null, created_at timestamp not null, blurhash varchar
);
create unique index index_preview_cards_on_url on preview_cards (url);
create table polls (
  id bigserial primary key, account_id bigint references accounts (id) on delete cascade, status_id bigint references statuses (id) on delete cascade,
  expires_at timestamp, options varchar[] default '{}' not null, cached_tallies bigint[] default '{}' not null, created_at timestamp not null
);
create table poll_votes (id bigserial primary key, account_id bigint references accounts (id) on delete cascade, poll_id bigint references polls (id) on delete cascade, choice integer default 0 not null);
create table lists (id bigserial primary key, account_id bigint not null references accounts (id) on delete cascade, title varchar default '' not null, replies_policy integer default 0 not null);
create table list_accounts (id bigserial primary key, list_id bigint not null references lists (id) on delete cascade, account_id bigint not null references accounts (id) on delete cascade);
create table custom_emojis (id bigserial primary key, shortcode varchar default '' not null, domain varchar, image_file_name varchar, disabled boolean default false not null);
create unique index index_custom_emojis_on_shortcode_and_domain on custom_emojis (shortcode, domain);
create table web_settings (id bigserial primary key, data json, user_id bigint not null unique references users (id) on delete cascade);
create table settings (id bigserial primary key, var varchar not null unique, value text);
create table session_activations (id bigserial primary key, session_id varchar not null unique, user_agent varchar default '' not null, ip inet, user_id bigint not null references users (id) on delete cascade, created_at timestamp not null);
create table oauth_applications (id bigserial primary key, name varchar not null, uid varchar not null unique, secret varchar not null, redirect_uri text not null, scopes varchar default '' not null);
create table oauth_access_tokens (id bigserial primary key, token varchar not null unique, application_id bigint references oauth_applications (id) on delete cascade, resource_owner_id bigint references users (id) on delete cascade, scopes varchar, created_at timestamp not null, revoked_at timestamp);
create table reports (id bigserial primary key, status_ids bigint[] default '{}' not null, comment text default '' not null, account_id bigint not null references accounts (id) on delete cascade, created_at timestamp not null);
create table tombstones (id bigserial primary key, account_id bigint references accounts (id) on delete cascade, uri varchar not null, created_at timestamp not null);
create table domain_blocks (id bigserial primary key, domain varchar default '' not null unique, severity integer default 0, created_at timestamp not null);
create table ip_blocks (id bigserial primary key, ip inet default '0.0.0.0' not null unique, severity integer default 0 not null);
create table backups (id bigserial primary key, user_id bigint references users (id) on delete set null, dump_file_name varchar);
create table schema_migrations (version varchar primary key);
create table ar_internal_metadata (key varchar primary key, value varchar, created_at timestamp not null, updated_at timestamp not null);

create materialized view instances as
  select domain, count(*) as accounts_count from accounts where domain is not null group by domain;
create unique index index_instances_on_domain on instances (domain);
create materialized view account_summaries as
  select a.id as account_id, mode() within group (order by s.language) as language, bool_or(s.sensitive) as sensitive
    from accounts a join statuses s on s.account_id = a.id where a.suspended_at is null group by a.id;
create unique index index_account_summaries_on_account_id on account_summaries (account_id);
create materialized view global_follow_recommendations as
  select target_account_id as account_id, count(*)::numeric as rank from follows group by target_account_id;
create unique index index_global_follow_recommendations_on_account_id on global_follow_recommendations (account_id);
create view user_ips as select id as user_id, sign_up_ip as ip, created_at as used_at from users where sign_up_ip is not null;

insert into schema_migrations (version) values ('20170109120109'), ('20230822081029'), ('20241205103523'), ('20251023160000');
insert into ar_internal_metadata values ('environment', 'production', now(), now());
`;

/** Tables that Mastodon does not have and a backup must carry all the same. */
export const oddities = `
create table "odd "".name" (i integer);
insert into "odd "".name" select generate_series(1, 5);
create table no_columns ();
insert into no_columns select from generate_series(1, 3);
create table terminators (t text);
insert into terminators values (E'\\\\.'), (''), (E'a\\nb\\r\\n\\\\.\\n'), (null), ('日本語 😀 مرحبا e\u0301');
create unlogged table unlogged_things (i integer);
insert into unlogged_things values (1), (2);
create schema other;
create table other.things (id integer generated always as identity, doubled integer generated always as (1 + 1) stored);
insert into other.things default values;
create table parts (day date) partition by range (day);
create table parts_2025 partition of parts for values from ('2025-01-01') to ('2026-01-01');
insert into parts values ('2025-05-05'), ('2025-06-06');
select lo_from_bytea(0, decode(repeat('00ff10', 5000), 'hex'));
`;
