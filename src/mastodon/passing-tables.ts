// Tables of Mastodon whose rows come and go by themselves: to find one of them empty is everyday life of a small instance,
// and a warning on every other day would teach people not to read warnings.

/** Emptied by Mastodon: what is published, carried out, answered, expired or reckoned anew leaves no row. */
const passing = new Set([
  'account_deletion_requests',
  'backups',
  'bulk_import_rows',
  'bulk_imports',
  'follow_requests',
  'imports',
  'notification_requests',
  'oauth_access_grants',
  'preview_card_trends',
  'scheduled_statuses',
  'software_updates',
  'status_trends',
  'tag_trends',
  'unavailable_domains',
]);

/** Whether Mastodon itself empties the table of this name (without its schema) from time to time. */
export function isPassingTable(name: string): boolean {
  return passing.has(name);
}
