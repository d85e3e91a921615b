// The recovery kit of this instance: its places from the settings, the rest from the newest manifest. A store that is down is
// no reason to go without; the page then says what was not known.

import { writeFile } from 'node:fs/promises';
import { recipientsOf, wantsEncrypted } from '../config/age-keys.ts';
import { publicKeyLine } from '../config/ssh-keys.ts';
import { bucketOf, directoryOf, type Settings } from '../config/settings.ts';
import { AppError, describeError } from '../errors.ts';
import type { BaseDocument } from '../snapshots/base-document.ts';
import { listChains, readChain } from '../snapshots/chain-catalogue.ts';
import { newestFirst } from '../schedule/due.ts';
import type { Catalogue } from '../snapshots/catalogue.ts';
import { findLatest } from '../snapshots/choice.ts';
import { dumpOf, partOf, snapshotName, type Manifest } from '../snapshots/manifest.ts';
import type { Repository } from '../snapshots/repository.ts';
import { createRecoveryKit, type KitFacts, type RecoveryKit } from '../kit/recovery-kit.ts';
import { type StockBucket } from '../kit/stock-objects.ts';
import { wizardDatabase, type StockDatabase } from '../kit/stock-database.ts';
import { mastodonRole } from '../mastodon/mastodon-role.ts';
import { warnOfPassedOver } from './choosing.ts';
import type { AppContext } from './context.ts';
import { lookIntoAll } from './holdings.ts';

/** Options of `recovery-kit`. */
export interface RecoveryKitRequest {
  readonly format: 'text' | 'html';
  /** Whose kit; null: the instance of the settings, or the only one that is stored. */
  readonly instance: string | null;
  /** Where to write it; null: it is only returned. */
  readonly output: string | null;
  readonly signal: AbortSignal;
}

/** Makes the kit, writes it if asked, and returns it. */
export async function recoveryKit(context: AppContext, request: RecoveryKitRequest): Promise<string> {
  const { settings } = context.load();
  const places = await readAllCatalogues(context, request.signal);
  const catalogues = places.map(({ catalogue }) => catalogue);
  const instance = chooseInstance(context, { catalogues, named: request.instance });
  const newest = findNewest(context, { catalogues, instance });
  const facts: KitFacts = {
    instance,
    madeAt: context.now(),
    timeZone: settings.timeZone,
    toolVersion: context.toolVersion,
    bucket: describeBucket(settings),
    directory: directoryOf(settings),
    recipients: recipientsOf(settings.keys),
    signers: settings.signing.trusted.map(publicKeyLine),
    secretsStored:
      newest === undefined
        ? settings.secrets === 'auto' && settings.keys.kind !== 'plain'
        : partOf(newest, 'secrets') !== undefined,
    extraStored:
      newest === undefined
        ? settings.extraFiles.length > 0 && settings.keys.kind !== 'plain'
        : partOf(newest, 'extra') !== undefined,
    database: describeDatabase(context, newest),
    chain: await findChain(context, { places, instance, signal: request.signal }),
    encoding:
      newest === undefined
        ? { compression: settings.compression.kind, encrypted: settings.keys.kind !== 'plain' }
        : { compression: dumpOf(newest).compression, encrypted: dumpOf(newest).encryption !== null },
    newest:
      newest === undefined
        ? null
        : {
            name: snapshotName(newest),
            dataAt: newest.dataAt.toISOString(),
            serverVersion: newest.database.serverVersion,
            clientVersion: newest.database.clientVersion,
            dumpBytes: dumpOf(newest).content.bytes,
            objectBytes: dumpOf(newest).bytes,
            mastodon: newest.mastodon,
          },
  };
  const text = await render(createRecoveryKit(facts), request);
  if (request.output !== null) await write(request.output, text);
  return text;
}

// Loaded here alone: no other command draws codes.
async function render(kit: RecoveryKit, { format }: RecoveryKitRequest): Promise<string> {
  if (format === 'html') return (await import('../kit/recovery-kit-html.ts')).renderKitHtml(kit);
  return (await import('../kit/recovery-kit-text.ts')).renderKitText(kit);
}

interface Readable {
  readonly repository: Repository;
  readonly catalogue: Catalogue;
}

async function readAllCatalogues(context: AppContext, signal: AbortSignal): Promise<readonly Readable[]> {
  const places: Readable[] = [];
  for (const { repository, catalogue, error } of await lookIntoAll(context, signal)) {
    if (catalogue === null) {
      context.log.warn(
        { err: error, store: repository.store.description },
        'The store could not be asked; the kit is made of the settings alone where nothing else is known',
      );
      continue;
    }
    places.push({ repository, catalogue });
  }
  return places;
}

// Where the settings do not say who we are, as on an empty machine, the only one that is stored is meant.
function chooseInstance(
  context: AppContext,
  { catalogues, named }: { readonly catalogues: readonly Catalogue[]; readonly named: string | null },
): string {
  const { target, instance } = context.load();
  const stored = [...new Set(catalogues.flatMap(({ snapshots }) => snapshots.map((one) => one.instance)))].toSorted();
  if (named !== null) {
    if (stored.includes(named)) return named;
    const others = stored.length === 0 ? 'nothing is' : `there is: ${stored.join(', ')}`;
    throw new AppError('no-snapshot', `No backup of '${named}' is stored there; ${others}`, {
      hint: 'See what there is with the command: mastodon-backup list.',
    });
  }
  const isSaid = context.environment.status('LOCAL_DOMAIN') === 'set' || target.sources.length > 0;
  if (isSaid && stored.length > 0 && !stored.includes(instance))
    context.log.warn(
      {},
      `No backup of '${instance}' is stored there; there is: ${stored.join(', ')}. Choose one with --instance.`,
    );
  if (isSaid || stored.length === 0) return instance;
  const [only = instance, ...others] = stored;
  if (others.length === 0) return only;
  throw new AppError('usage', `Several instances are stored there: ${stored.join(', ')}`, {
    hint: `Name one, such as: mastodon-backup recovery-kit --instance ${only}.`,
  });
}

function findNewest(
  context: AppContext,
  { catalogues, instance }: { readonly catalogues: readonly Catalogue[]; readonly instance: string },
): Manifest | undefined {
  // Together: one place may have nothing but what an instance that was set up anew has put there.
  const everywhere = {
    snapshots: catalogues.flatMap(({ snapshots }) => snapshots).toSorted(newestFirst),
    damaged: catalogues.flatMap(({ damaged }) => damaged),
    unreadable: catalogues.flatMap(({ unreadable }) => unreadable),
    unlisted: catalogues.flatMap(({ unlisted }) => unlisted),
    unsigned: catalogues.flatMap(({ unsigned }) => unsigned),
  };
  const latest = findLatest(everywhere, {
    instance,
    tier: null,
    now: context.now(),
    encryptedOnly: wantsEncrypted(context.load().settings.keys),
  });
  warnOfPassedOver(context, latest);
  return latest.manifest;
}

// Of the newest base, whichever server it is of.
async function findChain(
  context: AppContext,
  {
    places,
    instance,
    signal,
  }: { readonly places: readonly Readable[]; readonly instance: string; readonly signal: AbortSignal },
): Promise<KitFacts['chain']> {
  try {
    const bases: BaseDocument[] = [];
    for (const { repository } of places)
      for (const systemIdentifier of await listChains(repository, { signal }))
        bases.push(...(await readChain(repository, { systemIdentifier, signal })).bases);
    const [newest] = bases
      .filter((base) => base.instance === instance)
      .toSorted((a, b) => b.endedAt.getTime() - a.endedAt.getTime());
    if (newest === undefined) return null;
    const { systemIdentifier, server, tar } = newest;
    return { systemIdentifier, serverMajor: server.major, encrypted: tar.encryption !== null };
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn(
      { err: error },
      'Whether there is point-in-time recovery could not be asked; the kit says nothing of it',
    );
    return null;
  }
}

function describeBucket(settings: Settings): StockBucket | null {
  const s3 = bucketOf(settings);
  if (s3 === null) return null;
  const provider = { r2: 'Cloudflare', aws: 'AWS', other: 'Other' } as const;
  return {
    bucket: s3.bucket,
    endpoint: s3.endpoint,
    region: s3.region,
    prefix: s3.prefix,
    provider: provider[s3.profile],
  };
}

function describeDatabase(context: AppContext, newest: Manifest | undefined): StockDatabase {
  const { target } = context.load();
  const { encoding = 'UTF8', extensions = [], locale = null, name = target.database, role } = newest?.database ?? {};
  // Mastodon's wizard under Docker has the server's own role and database for it.
  const guess = name === wizardDatabase.name ? wizardDatabase.name : target.user;
  return {
    name,
    role: mastodonRole(context.environment).role ?? role ?? guess,
    encoding,
    locale,
    extensions: extensions.filter((one) => one.name !== 'plpgsql'),
  };
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (error) {
    throw new AppError('usage', `The recovery kit could not be written to '${file}': ${describeError(error)}`, {
      cause: error,
      hint: 'Name a file in a directory that can be written here, or leave --output out and redirect stdout.',
    });
  }
}
