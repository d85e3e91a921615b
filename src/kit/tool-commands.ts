// The same recovery with this program: its settings as lines to paste, where it comes from, and three commands. They are typed
// into the shell of the first step and share WORK with the stock commands; a test runs every one of them.

import { checked, commands, text, type KitSection } from './kit-section.ts';
import type { KitFacts } from './recovery-kit.ts';
import { shellQuote } from './shell-word.ts';
import { sequencesAhead } from './stock-database.ts';

const blank = '_'.repeat(40);

/** The section. */
export function withTool(facts: KitFacts): KitSection {
  const { database, encoding, secretsStored, extraStored, instance, bucket, toolVersion } = facts;
  // By stdin: it need not be mounted anywhere.
  const key = encoding.encrypted ? ' --identity - < "$WORK/key.txt"' : ' < /dev/null';
  const latest = `mb restore latest --instance ${shellQuote(instance)}`;
  const name = shellQuote(database.name);
  const restored = secretsStored ? '"$WORK/.env.production.restored"' : './.env.production';
  return {
    title: 'Steps 2 to 4 with this tool instead',
    blocks: [
      text(
        `It is mastodon-backup ${toolVersion} or later: an image that is built from its repository (docker build -t mastodon-postgres-backup ` +
          `-f docker/Dockerfile .) or published by it, whose name is then written below, or a checkout (apt-get install npm, npm ci, and its bin in PATH). Repository and image: ${blank}`,
      ),
      checked('Its settings, with the access key of step 1:', [
        `printf '%s\\n' ${settings(facts).join(' ')} > "$WORK/recovery.env"`,
        ...(bucket === null
          ? []
          : [
              `printf 'BACKUP_S3_ACCESS_KEY_ID=%s\\nBACKUP_S3_SECRET_ACCESS_KEY=%s\\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" >> "$WORK/recovery.env"`,
            ]),
      ]),
      commands('With Docker:', [
        'export WORK',
        recoveryService(''),
        'mb() { docker compose -f recovery.yml run --rm -T recovery "$@"; }',
      ]),
      commands('or from a checkout:', [
        `mb() { (set -a; . "$WORK/recovery.env"; test ! -e ${restored} || . ${restored}; exec mastodon-backup "$@"); }`,
      ]),
      ...(secretsStored
        ? [
            checked("Mastodon's settings:", [
              `(umask 077; ${latest} --secrets-output -${key} > "$WORK/.env.production.restored")`,
            ]),
          ]
        : []),
      ...(extraStored
        ? [
            checked('Your own files that travelled with it:', [
              `mkdir "$WORK/extra" && ${latest} --extra-output -${key} | tar -xvf - -C "$WORK/extra"`,
            ]),
          ]
        : []),
      commands('With Docker; the superuser is that of the service db:', [
        'project',
        recoveryService(', environment: [BACKUP_DATABASE_URL], networks: [internal_network, external_network]'),
        'mb() { docker compose -f docker-compose.yml -f recovery.yml run --rm -T recovery "$@"; }',
        'export BACKUP_DATABASE_URL=postgresql://postgres@db/postgres',
      ]),
      commands('or from a checkout, with a password for the superuser of a server here:', [
        'PASSWORD=$(tr -dc a-z0-9 < /dev/urandom | head -c 20)',
        `runuser -u postgres -- psql -qc "alter role postgres password '$PASSWORD'"`,
        'export BACKUP_DATABASE_URL=postgresql://postgres:$PASSWORD@localhost/postgres',
      ]),
      checked('The database, and its role (where there is an old one add --replace: it is moved aside):', [
        `${latest} --to-database ${name} --create-role --sequences-ahead ${sequencesAhead}${key}`,
      ]),
    ],
  };
}

// A service of its own: the project's file may not be there yet.
function recoveryService(more: string): string {
  const files = `env_file: [${more === '' ? '' : '.env.production, '}"$WORK/recovery.env"]`;
  return `echo 'services: {recovery: {image: mastodon-postgres-backup, ${files}${more}}}' > recovery.yml`;
}

function settings({ bucket, directory, signers }: KitFacts): readonly string[] {
  const lines: (readonly [string, string])[] = [];
  if (bucket !== null) {
    lines.push(['BACKUP_S3_BUCKET', bucket.bucket], ['BACKUP_S3_REGION', bucket.region]);
    if (bucket.endpoint !== null) lines.push(['BACKUP_S3_ENDPOINT', bucket.endpoint]);
    if (bucket.prefix !== '') lines.push(['BACKUP_S3_PREFIX', bucket.prefix]);
  }
  if (directory !== null) lines.push(['BACKUP_LOCAL_DIR', directory]);
  if (signers.length > 0) lines.push(['BACKUP_TRUSTED_SIGNERS', signers.join(',')]);
  // Quoted for the file, which compose and a shell read alike, and then for this shell.
  return lines.map(([name, value]) => shellQuote(`${name}=${shellQuote(value)}`));
}
