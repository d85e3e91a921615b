// The recovery, step by step, with stock tools alone: prepare, fetch and check, settings, database, start, look.

import { checked, commands, text, type KitBlock, type KitSection } from './kit-section.ts';
import {
  checkObject,
  checkSignatures,
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
  type StockBucket,
  type StockEncoding,
} from './stock-objects.ts';
import {
  clientsHere,
  clientsInCompose,
  compareRows,
  moveSequences,
  restoreDatabase,
  wizardDatabase,
  type StockDatabase,
} from './stock-database.ts';
import { formatMoment } from '../text/moment.ts';

/** What the steps depend on. */
export interface StepFacts {
  readonly instance: string;
  readonly bucket: StockBucket | null;
  readonly directory: string | null;
  readonly secretsStored: boolean;
  readonly extraStored: boolean;
  readonly database: StockDatabase;
  readonly encoding: StockEncoding;
  /** Public keys whose signatures count, as `ssh-ed25519 AAAA… name`; empty: none is asked for. */
  readonly signers: readonly string[];
  /** The newest snapshot; null where nobody knows it. */
  readonly newest: {
    readonly dataAt: string;
    readonly serverVersion: string;
    readonly clientVersion: string;
    readonly mastodon: { readonly release: string | null } | null;
  } | null;
  /** In which times are said. */
  readonly timeZone: string;
}

/** The steps in their order; `otherWay` does the same as the second to the fourth. */
export function recoverySteps(facts: StepFacts, otherWay: readonly KitSection[]): readonly KitSection[] {
  return [
    preparation(facts),
    ...otherWay,
    fetching(facts),
    settings(facts),
    restoring(facts),
    starting(facts),
    afterwards(),
  ];
}

function preparation({ instance, bucket, encoding, signers, newest }: StepFacts): KitSection {
  // A number and nothing more: it becomes a word of a command.
  const major = newest === null ? undefined : /^\d+/.exec(newest.clientVersion)?.[0];
  const tools = [
    'ca-certificates',
    ...(encoding.encrypted ? ['age'] : []),
    ...(signers.length > 0 ? ['openssh-client'] : []),
    ...{ xz: ['xz-utils'], zstd: ['zstd'], none: [] }[encoding.compression],
    ...(bucket === null ? [] : ['curl']),
  ];
  const install = (what: readonly string[]): string => `apt-get install -y ${what.join(' ')}`;
  const inCompose = `With Docker, PostgreSQL is the service db${major === undefined ? '' : ` (postgres:${major}-alpine)`}`;
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
      checked(`Debian or Ubuntu, as root. ${inCompose}:`, ['apt-get update', install(tools)]),
      checked(
        `Without Docker, ${major === undefined ? 'the server' : `PostgreSQL ${major} (a newer one will do)`} from its own packages:`,
        [
          install(['postgresql-common']),
          '/usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y',
          install([`postgresql-${major ?? 'MAJOR'}`]),
        ],
      ),
      ...(bucket === null
        ? []
        : [text('Give the shell the access key: export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…')]),
      commands('Where you are:', [rememberDirectory]),
    ],
  };
}

function fetching({ bucket, directory, instance, signers }: StepFacts): KitSection {
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
  return { title: 'Step 2. Fetch the backup and check it', blocks };
}

function settings(facts: StepFacts): KitSection {
  const title = "Step 3. Mastodon's settings";
  const extra: readonly KitBlock[] = facts.extraStored
    ? [
        checked('The files of your own that travelled with it (compose file, web server), under their old paths:', [
          openExtra,
        ]),
      ]
    : [];
  if (!facts.secretsStored) {
    return {
      title,
      blocks: [
        text(
          'They are not in the backups. Without the old SECRET_KEY_BASE everybody is logged out; without the old OTP_SECRET and ' +
            'ACTIVE_RECORD_ENCRYPTION_* nobody with two factors gets in. Look for the .env.production named above first.',
        ),
        ...extra,
      ],
    };
  }
  return {
    title,
    blocks: [
      checked('Secrets, domain, mail and all the rest, as an env file:', [openSecrets]),
      text(
        "It becomes .env.production beside Mastodon's docker-compose.yml, which takes it as it is. Change what names the old " +
          'machine (DB_HOST, REDIS_HOST and their like); never change the secrets or LOCAL_DOMAIN.',
      ),
      ...extra,
    ],
  };
}

function restoring({ database, encoding }: StepFacts): KitSection {
  return {
    title: 'Step 4. Restore the database',
    blocks: [
      commands("In Mastodon's compose project, in the directory of docker-compose.yml:", [
        'docker compose stop web streaming sidekiq',
        'docker compose up -d --wait db',
        clientsInCompose,
      ]),
      commands('or on a server without Docker, as the user postgres, or with PGHOST, PGUSER and PGPASSWORD set:', [
        clientsHere,
      ]),
      checked('then, for both:', restoreDatabase(database, encoding)),
      {
        kind: 'list',
        items: [
          database.name === wizardDatabase.name
            ? `The database ${database.name} is there on every server: it is moved aside as ${wizardDatabase.aside} and never dropped. If that exists, give it another name first (alter database … rename to …).`
            : `If createdb says that ${database.name} exists: move it aside, never drop it (alter database … rename to …), and repeat.`,
          `The role ${database.role} gets the password of DB_PASS in the settings, where there is one: \\password ${database.role} in psql.`,
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

function starting({ newest, timeZone }: StepFacts): KitSection {
  const release = newest?.mastodon?.release;
  return {
    title: 'Step 5. Files, queues, feeds, start',
    blocks: [
      {
        kind: 'list',
        items: [
          `Mastodon: start ${release === undefined || release === null ? 'the release' : `release ${release}, the one`} that made the backup (the image in docker-compose.yml, or the tag of the checkout); upgrade afterwards.`,
          'Uploaded files: put public/system back from its own backup, or check that the bucket of S3_BUCKET still has them.',
          'Redis must be empty: on the same host it has queues and feeds of another state.',
        ],
      },
      checked('Without Docker: redis-cli flushall, systemctl start mastodon-*, RAILS_ENV=production bin/tootctl …', [
        'docker compose up -d --wait redis',
        'docker compose exec -T redis redis-cli flushall < /dev/null',
        'docker compose up -d',
        'docker compose run --rm -T web bin/tootctl feeds build < /dev/null',
      ]),
      checked('With Elasticsearch:', ['docker compose run --rm -T web bin/tootctl search deploy < /dev/null']),
      text(
        'It builds home feeds, from release 4.4 on those of lists too; before that lists fill with what comes. Then point DNS at the new server.',
      ),
      text(
        `What other servers have seen ${newest === null ? 'since the backup' : `since ${formatMoment(newest.dataAt, timeZone)}`} is still there and no longer known here: posts of that time can only be deleted there by who runs them, follows of that time have to be made again, and what was deleted in it is back here alone. Tell your people.`,
      ),
    ],
  };
}

function afterwards(): KitSection {
  return {
    title: 'Step 6. Look whether it is all there',
    blocks: [
      {
        kind: 'list',
        items: [
          'Log in as somebody with two factors: that needs the right ACTIVE_RECORD_ENCRYPTION_* and OTP_SECRET.',
          'Look at an old post with a picture, write a new one, and see it arrive on another server.',
          'Take a new backup at once, and keep the one you restored. Retention removes nothing while there are backups of another server: when you are content with the new one, say so with mastodon-backup prune --accept-new-server.',
        ],
      },
    ],
  };
}
