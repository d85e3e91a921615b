// What is odd about the database settings without being wrong: parameters that have no effect, quotes that came along from
// an env file, and a connection that seems to go through PgBouncer. Unsaid, each costs an evening when the login fails.

import type { Environment } from '../config/environment.ts';
import { toShownValue } from '../config/problem.ts';
import type { DatabaseUrlParts } from './database-url.ts';
import { isQuoted, readAsYamlScalar } from './rails-value.ts';

/** Parameters that change what is dumped from where, all of which are honoured. */
const usedParameters = new Set([
  'host',
  'port',
  'user',
  'username',
  'password',
  'dbname',
  'database',
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
]);

/** Parameters of Rails', the streaming server's or a connection's upkeep, which mean nothing to a dump. */
const irrelevantParameters = new Set(
  (
    'pool max_connections min_connections max adapter encoding client_encoding checkout_timeout idle_timeout keepalive ' +
    'reaping_frequency max_age prepared_statements statement_limit advisory_locks variables schema_search_path ' +
    'min_messages timeout reconnect insert_returning connect_timeout application_name fallback_application_name ' +
    'keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout ssl uselibpqcompat ' +
    'statement_timeout query_timeout pgbouncer'
  ).split(' '),
);

/** What is odd, as warnings, and whether a pooler is in the way. */
export function findOddities(
  environment: Environment,
  found: {
    readonly own: boolean;
    readonly urlName: string;
    readonly url: DatabaseUrlParts | undefined;
    readonly port: number;
  },
): { readonly warnings: readonly string[]; readonly poolerSuspected: boolean } {
  const warnings: string[] = [];
  const names = [...(found.url?.parameters.keys() ?? [])];
  const unused = names.filter((name) => !usedParameters.has(name) && !irrelevantParameters.has(name));
  if (unused.length > 0) {
    warnings.push(`${found.urlName} has parameters without effect here: ${unused.map(toShownValue).join(', ')}`);
  }
  const prepared = readAsYamlScalar(environment.get('PREPARED_STATEMENTS')?.text ?? '');
  const poolerSuspected =
    found.port === 6432 || isOff(found.url?.parameters.get('prepared_statements')) || (!found.own && isOff(prepared));
  if (poolerSuspected) {
    warnings.push(
      found.own
        ? 'BACKUP_DATABASE_URL seems to go through PgBouncer, which cannot carry a dump; write the server itself there'
        : 'Mastodon seems to go through PgBouncer, which cannot carry a dump; set BACKUP_DATABASE_URL to a direct connection',
    );
  }
  if (!found.own) warnings.push(...findSurroundings(environment));
  return { warnings, poolerSuspected };
}

function findSurroundings(environment: Environment): readonly string[] {
  const warnings: string[] = [];
  for (const name of ['DB_HOST', 'DB_PORT', 'DB_NAME', 'DB_USER', 'DB_SSLMODE']) {
    if (isQuoted(environment.get(name)?.text ?? '')) {
      warnings.push(`${name} has quotes around it: Rails and this program drop them, the streaming server does not`);
    }
  }
  const password = environment.get('DB_PASS')?.text ?? '';
  if (isQuoted(password)) warnings.push('DB_PASS has quotes around it, which are part of the password, as for Rails');
  if (password !== password.trim()) {
    warnings.push('DB_PASS has white space or a line end around it, which is part of the password, as for Rails');
  }
  return warnings;
}

// What YAML takes for false.
function isOff(value: string | undefined): boolean {
  return /^(?:false|off|no)$/i.test(value ?? '');
}
