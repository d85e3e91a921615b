// The recovery, step by step, with stock tools alone: prepare, fetch and check, settings, database; what follows is in restart-steps.ts.

import { checked, commands, text, type KitBlock, type KitSection } from './kit-section.ts';
import {
  checkObject,
  checkSignatures,
  defineProject,
  findNewest,
  getManifests,
  getSignatures,
  showSignature,
  getObjects,
  getWithAws,
  getWithCurl,
  getWithRclone,
  openExtra,
  openSecrets,
  rememberDirectory,
  useDirectory,
} from './stock-objects.ts';
import {
  clientsHere,
  clientsInCompose,
  clientsOfServer,
  compareRows,
  defineSessions,
  moveSequences,
  restoreDatabase,
  wizardDatabase,
} from './stock-database.ts';
import type { KitFacts } from './recovery-kit.ts';
import { restartSteps } from './restart-steps.ts';

/** The steps in their order; `short` does the same as the second to the fourth, which come last, line by line. */
export function recoverySteps(facts: KitFacts, short: readonly KitSection[]): readonly KitSection[] {
  return [preparation(facts), ...short, ...restartSteps(facts), fetching(facts), settings(facts), restoring(facts)];
}

function preparation(facts: KitFacts): KitSection {
  const { instance, bucket, encoding, signers, newest } = facts;
  // A number and nothing more: it becomes a word of a command.
  const major = newest === null ? undefined : /^\d+/.exec(newest.clientVersion)?.[0];
  const tools = [
    'ca-certificates',
    ...(encoding.encrypted ? ['age'] : []),
    ...(signers.length > 0 ? ['openssh-client'] : []),
    ...{ xz: ['xz-utils'], zstd: ['zstd'], none: [] }[encoding.compression],
    ...(bucket === null ? [] : ['curl']),
  ];
  const install = (what: string): string => `apt-get install -y ${what}`;
  const server = `postgresql-${major ?? 'MAJOR'}`;
  return {
    title: 'Step 1. Prepare',
    blocks: [
      {
        kind: 'list',
        items: [
          `Never let two copies of ${instance} run at once: other servers would take the posts of both for good. Switch the old server off, or stop web, streaming and sidekiq there, and be sure that they stay stopped.`,
          `Do all of it in one shell (sh or bash), in an empty directory with room for the backup${encoding.encrypted ? '; put the private key into it as key.txt' : ''}. A block that says ok at its end went well.`,
        ],
      },
      checked('Debian or Ubuntu, as root:', ['apt-get update', install(tools.join(' '))]),
      checked(
        `With Docker, where it is not there yet (PostgreSQL is the service db${major === undefined ? '' : `, postgres:${major}-alpine`}):`,
        [
          `{ ${install('docker.io docker-compose-v2')} || ${install('docker.io docker-compose')}; }`,
          'docker compose version',
        ],
      ),
      checked(
        `or without Docker, ${major === undefined ? 'the server' : `PostgreSQL ${major} (a newer one will do)`}, if need be from its own repository:`,
        [
          `{ ${install(server)} || { ${install('postgresql-common')} && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y && ${install(server)}; }; }`,
        ],
      ),
      ...(bucket === null
        ? []
        : [text('Give the shell the access key: export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…')]),
      commands('Where you are:', [rememberDirectory]),
      commands(
        'With Docker, how its project is made of what has travelled, and its database started:',
        defineProject(facts),
      ),
    ],
  };
}

function fetching({ bucket, directory, instance, signers }: KitFacts): KitSection {
  const curl = bucket === null ? [] : getWithCurl(bucket);
  const isSigned = signers.length > 0;
  const blocks: readonly KitBlock[] = [
    ...(bucket === null
      ? []
      : [
          ...(curl.length === 0 ? [] : [commands('How to get objects, with curl alone (7.87 or later):', curl)]),
          commands(
            curl.length === 0 ? 'How to get objects, with the AWS client:' : 'or with the AWS client:',
            getWithAws(bucket),
          ),
          commands('or with rclone:', getWithRclone(bucket)),
          checked('Get the manifests:', [getManifests, ...(isSigned ? [getSignatures] : [])]),
        ]),
    ...(directory === null
      ? []
      : [
          commands(
            bucket === null
              ? 'On a machine where the directory is mounted:'
              : 'Or from the directory, on a machine where it is mounted (leave out what begins with get):',
            [useDirectory(directory)],
          ),
        ]),
    ...(isSigned
      ? [checked("Only what one of these keys has signed counts; the rest may be anybody's:", checkSignatures(signers))]
      : []),
    checked(
      'The manifest with the newest data; to go back further, set MANIFEST to another one below FROM:',
      findNewest(instance, { isSigned }),
    ),
    ...(isSigned
      ? [checked('Whose signature it has; without the word Good it is none of yours:', [showSignature])]
      : []),
    ...(bucket === null ? [] : [checked('Get its objects:', [getObjects])]),
    checked('Is the dump whole? Its SHA-256 must stand in the manifest:', checkObject),
  ];
  return { title: 'Step 2, line by line. Fetch the backup and check it', blocks };
}

function settings({ secretsStored, extraStored }: KitFacts): KitSection {
  return {
    title: "Step 3, line by line. Mastodon's settings",
    blocks: [
      secretsStored
        ? checked('Secrets, domain, mail and all the rest, as an env file:', [openSecrets])
        : text('They are not in the backups.'),
      ...(extraStored
        ? [
            checked('The files of your own that travelled with it (compose file, web server), under their old paths:', [
              openExtra,
            ]),
          ]
        : []),
    ],
  };
}

function restoring({ database, encoding }: KitFacts): KitSection {
  return {
    title: 'Step 4, line by line. Restore the database',
    blocks: [
      commands('With Docker, in the directory of docker-compose.yml, or on a new machine still here:', [
        'project',
        clientsInCompose,
      ]),
      commands('or without Docker, as root:', [clientsOfServer]),
      commands('or with a server elsewhere, its superuser in PGHOST, PGUSER and PGPASSWORD:', [clientsHere]),
      commands('then, for each of them, who runs what:', defineSessions),
      checked('and the database:', restoreDatabase(database, encoding)),
      {
        kind: 'list',
        items: [
          database.name === wizardDatabase.name
            ? `The database ${database.name} is there on every server: it is moved aside as ${wizardDatabase.aside} and never dropped. If that exists, give it another name first (alter database … rename to …).`
            : `If createdb says that ${database.name} exists: move it aside, never drop it (alter database … rename to …), and repeat.`,
          `Where the settings have a DB_PASS, the role ${database.role} gets it by \\password ${database.role} in psql (docker compose exec db psql -U postgres, or runuser -u postgres psql).`,
          `A dump is code: it runs in a login of its own, mastodon_backup_…, and is handed over at the end. Where that is not let in, pg_hba.conf lacks host all all 127.0.0.1/32 scram-sha-256; what it left goes with drop database, then drop role.`,
          'An object that ends in .xz is unpacked with xz -d, in .zst with zstd -d --long=27; without .age leave age out.',
        ],
      },
      checked(
        'Compare every table with the manifest. It prints those that differ: nothing but ok is well.',
        compareRows(database),
      ),
      checked('Ids of follows, likes and votes must not come again; how many sequences were moved ahead:', [
        moveSequences(database),
      ]),
    ],
  };
}
