// The recovery kit: two pages for the day the server is gone, on which everything but the keys stands. It is made of data
// that is no secret and rendered as text or HTML elsewhere. Somebody who never saw this program must get back with it.

import { createHash } from 'node:crypto';
import { commands, text, type KitBlock, type KitSection } from './kit-section.ts';
import { momentSection, type StockChain } from './moment-commands.ts';
import { withScript } from './script-commands.ts';
import { withTool } from './tool-commands.ts';
import { recoverySteps } from './recovery-steps.ts';
import { fingerprintCommand, type StockBucket, type StockEncoding } from './stock-objects.ts';
import { type StockDatabase } from './stock-database.ts';
import { releaseWords, type KitMastodon } from './restart-steps.ts';
import { formatMiB } from '../text/format.ts';
import { formatMoment } from '../text/moment.ts';
import { mapStrings } from '../text/strings.ts';
import { plainLine } from '../text/terminal.ts';

/** What a kit is made of; none of it may be a secret. */
export interface KitFacts {
  readonly instance: string;
  readonly madeAt: Date;
  /** In which times are said. */
  readonly timeZone: string;
  readonly toolVersion: string;
  readonly bucket: StockBucket | null;
  readonly directory: string | null;
  readonly recipients: readonly string[];
  /** Whether Mastodon's settings lie beside the backups. */
  readonly secretsStored: boolean;
  /** Whether the administrator's own files do. */
  readonly extraStored: boolean;
  readonly database: StockDatabase;
  readonly encoding: StockEncoding;
  /** Public keys whose signatures count, as `ssh-ed25519 AAAA… name`; empty: none is asked for. */
  readonly signers: readonly string[];
  /** Base backups and log that are stored; null: none, or nobody could say. */
  readonly chain: StockChain | null;
  /** The newest snapshot when the kit was made; null: none, or the store did not answer. */
  readonly newest: {
    readonly name: string;
    readonly dataAt: string;
    readonly serverVersion: string;
    readonly clientVersion: string;
    readonly dumpBytes: number;
    readonly objectBytes: number;
    readonly mastodon: KitMastodon | null;
  } | null;
}

/** A whole kit. */
export interface RecoveryKit {
  readonly title: string;
  readonly sections: readonly KitSection[];
}

const blank = '_'.repeat(40);
const longestKey = 100;

/** The kit for these facts. */
export function createRecoveryKit(facts: KitFacts): RecoveryKit {
  const sections = [
    whatIsWhere(facts),
    keys(facts),
    ...recoverySteps(facts, [...withScript(facts), withTool(facts)]),
    ...(facts.chain === null ? [] : [momentSection(facts.chain, facts)]),
  ];
  return {
    title: plainLine(`Recovery kit of ${facts.instance}`),
    sections: sections.map((section) => ({ ...section, blocks: section.blocks.map(asRead) })),
  };
}

// Names come out of a bucket: in what is read, none of them begins a line that looks typed. What is typed is quoted where it is made.
function asRead(block: KitBlock): KitBlock {
  return block.kind === 'commands' || block.kind === 'code' ? block : mapStrings(block, plainLine);
}

/** What `age-keygen -y key.txt | sha256sum` begins with, for the private key of this recipient. */
export function recipientFingerprint(recipient: string): string {
  return createHash('sha256').update(`${recipient}\n`).digest('hex').slice(0, 16);
}

function whatIsWhere(facts: KitFacts): KitSection {
  const { bucket, directory, newest, database } = facts;
  return {
    title: 'What is where',
    blocks: [
      text(
        `Made ${formatMoment(facts.madeAt, facts.timeZone)} by mastodon-backup ${facts.toolVersion}. Print it, or keep it where you can read it when ` +
          'this server is gone. It holds no secret; make it anew when a key, a place or the database changes.',
      ),
      {
        kind: 'facts',
        rows: [
          ['instance', facts.instance],
          ...(bucket === null
            ? []
            : ([
                ['bucket', `${bucket.bucket} at ${bucket.endpoint ?? 'Amazon S3'}, region ${bucket.region}`],
                ['folder in it', bucket.prefix === '' ? 'none' : bucket.prefix],
              ] as const)),
          ...(directory === null ? [] : ([['directory', directory]] as const)),
          [
            'database',
            `${database.name}, owned by the role ${database.role}, encoding ${database.encoding}${localeWords(database)}`,
          ],
          ...(database.extensions.length === 0
            ? []
            : ([
                [
                  'extensions',
                  database.extensions
                    .map(
                      ({ name, schema }) => `${name}${schema === null || schema === 'public' ? '' : ` in ${schema}`}`,
                    )
                    .join(', '),
                ],
              ] as const)),
          [
            'newest backup',
            newest === null
              ? 'not known when this was made'
              : `${newest.name}, data of ${formatMoment(newest.dataAt, facts.timeZone)}`,
          ],
          ...(newest === null
            ? []
            : ([
                [
                  'PostgreSQL',
                  `${newest.serverVersion}; pg_restore ${newest.clientVersion.split('.')[0]} or newer reads it`,
                ],
                ['Mastodon', describeMastodon(newest.mastodon)],
                ['its size', `${formatMiB(newest.objectBytes)} stored, ${formatMiB(newest.dumpBytes)} unpacked`],
              ] as const)),
          ["Mastodon's settings", facts.secretsStored ? 'beside each backup, encrypted' : 'NOT in the backups'],
          ...(facts.extraStored ? ([['your own files', 'beside each backup, encrypted']] as const) : []),
          [
            'signed by',
            facts.signers.length === 0
              ? 'no key is known here: whoever may write there can forge a backup'
              : facts.signers.join('; '),
          ],
          ['uploaded files', 'NOT in the backups: public/system, or the bucket of S3_BUCKET'],
        ],
      },
    ],
  };
}

function keys(facts: KitFacts): KitSection {
  const forBucket = text(
    "An access key that may read the bucket. If it is lost, make a new one in the provider's dashboard. " +
      `The account belongs to: ${blank}`,
  );
  return {
    title: 'Keys you need; none of them is on this page',
    blocks: [
      ...privateKey(facts),
      ...(facts.bucket === null ? [] : [forBucket]),
      ...(facts.secretsStored ? [] : [text(`Mastodon's .env.production is kept at: ${blank}`)]),
    ],
  };
}

function privateKey({ encoding, recipients }: KitFacts): readonly KitBlock[] {
  if (!encoding.encrypted) {
    return [
      text('The backups are not encrypted: whoever reads them reads all private messages. No private key is needed.'),
    ];
  }
  const known: readonly KitBlock[] = [
    {
      kind: 'facts',
      rows: recipients.map((recipient) => [recipientFingerprint(recipient), shown(recipient)] as const),
    },
    commands('This prints the fingerprint of a private key; it must be one of those on the left:', [
      fingerprintCommand,
    ]),
  ];
  return [
    text(
      'The private key (a line that starts with AGE-SECRET-KEY-) of ONE recipient opens the backups. Without it nobody can, ' +
        'so keep it twice, away from this server and away from the backups.',
    ),
    ...(recipients.length === 0 ? [text('The recipients were not set when this was made.')] : known),
    text(`The private key is kept at: ${blank}`),
  ];
}

function localeWords({ locale }: StockDatabase): string {
  if (locale === null) return '';
  const { collation, ctype, provider, name } = locale;
  const libc = collation === ctype ? collation : `${collation} and ${ctype}`;
  return `, locale ${libc}${name === null ? '' : ` (${provider} ${name})`}`;
}

function describeMastodon(mastodon: KitMastodon | null): string {
  if (mastodon === null) return 'its tables were not found';
  const which = releaseWords(mastodon) ?? 'a release that is not known here';
  return `${which}, with all migrations up to ${mastodon.schemaVersion}`;
}

// A post-quantum key fills a page; its fingerprint says as much.
function shown(recipient: string): string {
  return recipient.length <= longestKey ? recipient : `${recipient.slice(0, 40)}…${recipient.slice(-12)}`;
}
