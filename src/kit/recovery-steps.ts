// The recovery, step by step, with stock tools alone: prepare, fetch and check, settings, database, start, look.

import { commands, text, type KitBlock, type KitSection } from './kit-section.ts';
import {
  checkObject,
  clientsHere,
  clientsInCompose,
  compareRows,
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
  restoreDatabase,
  useDirectory,
  wizardDatabase,
  type StockBucket,
  type StockDatabase,
  type StockEncoding,
} from './stock-commands.ts';

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
}

/** The steps in their order. */
export function recoverySteps(facts: StepFacts): readonly KitSection[] {
  return [preparation(facts), fetching(facts), settings(facts), restoring(facts), starting(), afterwards()];
}

function preparation({ instance, bucket, encoding, signers }: StepFacts): KitSection {
  const tools = [
    'postgresql-client',
    ...(encoding.encrypted ? ['age'] : []),
    ...(signers.length > 0 ? ['openssh-client'] : []),
    ...{ xz: ['xz-utils'], zstd: ['zstd'], none: [] }[encoding.compression],
  ];
  return {
    title: 'Step 1. Prepare',
    blocks: [
      {
        kind: 'list',
        items: [
          `Never let two copies of ${instance} run at once: other servers would take the posts of both for good. Switch the old server off, or stop web, streaming and sidekiq there, and be sure that they stay stopped.`,
          `Install stock tools (Debian: apt-get install ${tools.join(' ')}${bucket === null ? '' : ', and one of awscli, rclone, curl'}).`,
          `Make an empty directory with room for the backup${encoding.encrypted ? ', put the private key into it as key.txt,' : ''} and begin there; type everything below into one shell:`,
        ],
      },
      commands('', [rememberDirectory]),
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
          text('From the bucket. Give the shell the access key: export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…'),
          commands('Then tell it how to get objects. With the AWS client:', getWithAws(bucket)),
          commands('or with rclone:', getWithRclone(bucket)),
          ...(curl.length === 0 ? [] : [commands('or with curl alone (7.87 or later):', curl)]),
          commands('Get the manifests:', [getManifests, ...(isSigned ? [getSignatures] : [])]),
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
      ? [
          commands(
            "Only what one of these keys has signed counts; the rest may be anybody's:",
            checkSignatures(signers),
          ),
        ]
      : []),
    commands(
      'The manifest with the newest data; to go back further, set MANIFEST to another one below FROM:',
      findNewest(instance, { isSigned }),
    ),
    ...(isSigned
      ? [commands('Whose signature it has; without the word Good it is none of yours:', [showSignature])]
      : []),
    ...(bucket === null ? [] : [commands('Get its objects:', [getObjects])]),
    commands('Is the dump whole? Its SHA-256 must stand in the manifest:', checkObject),
  ];
  return { title: 'Step 2. Fetch the backup and check it', blocks };
}

function settings(facts: StepFacts): KitSection {
  const title = "Step 3. Mastodon's settings";
  const extra: readonly KitBlock[] = facts.extraStored
    ? [
        commands('The files of your own that travelled with it (compose file, web server), under their old paths:', [
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
      commands('Secrets, domain, mail and all the rest, as an env file:', [openSecrets]),
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
      commands('then, for both:', restoreDatabase(database, encoding)),
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
      commands(
        'Compare every table with the manifest. This prints the tables that differ: nothing, when all is well.',
        [compareRows(database)],
      ),
    ],
  };
}

function starting(): KitSection {
  return {
    title: 'Step 5. Files, feeds, search, start',
    blocks: [
      {
        kind: 'list',
        items: [
          'Uploaded files: put public/system back from its own backup, or check that the bucket of S3_BUCKET still has them.',
          'Redis: start with an empty one. What waited in its queues is lost; the home feeds are built anew:',
        ],
      },
      commands('The last line only with Elasticsearch; without Docker it is RAILS_ENV=production bin/tootctl …:', [
        'docker compose up -d',
        'docker compose run --rm web bin/tootctl feeds build',
        'docker compose run --rm web bin/tootctl search deploy',
      ]),
      text('Use the release of Mastodon that made the backup; upgrade afterwards. Then point DNS at the new server.'),
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
          'Take a new backup at once, and keep the one you restored.',
        ],
      },
    ],
  };
}
