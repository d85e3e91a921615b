// The verbs that only read a store: what is there, and whether it is what its manifest says.

import type { ProgressListener } from '../backup/progress.ts';
import { identitiesOf } from '../config/age-keys.ts';
import type { BesideVerification } from '../snapshots/beside.ts';
import { verifyExtra } from '../snapshots/extra-part.ts';
import { verifySecrets } from '../snapshots/secrets-part.ts';
import { verifyFully } from '../snapshots/verification.ts';
import { readCatalogue, type Catalogue } from '../snapshots/catalogue.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import type { Folder } from '../schedule/tier.ts';
import type { StoreName } from '../storage/store.ts';
import { choose, type ChosenSnapshot, type SnapshotRequest } from './choosing.ts';
import type { AppContext } from './context.ts';

/** Options of `list`. */
export interface ListRequest {
  readonly from: StoreName | null;
  readonly tier: Folder | null;
  readonly signal: AbortSignal;
}

/** Options of `verify`. */
export interface VerifyRequest extends SnapshotRequest {
  readonly signal: AbortSignal;
  readonly onProgress: ProgressListener;
}

/** What `verify` found. */
export interface VerifyResult {
  readonly manifest: Manifest;
  readonly place: string;
  /** False when it is encrypted and no identity was at hand: hashed, but not decoded. */
  readonly decoded: boolean;
  /** How far the secrets object beside it was looked at. */
  readonly secrets: BesideVerification;
  /** The same of the extra files. */
  readonly extra: BesideVerification;
}

/** What a store holds, and its description for people. */
export type PlacedCatalogue = Catalogue & { readonly place: string };

/** Reads a store's catalogue. */
export async function list(context: AppContext, { from, tier, signal }: ListRequest): Promise<PlacedCatalogue> {
  const repository = await context.storeToRead(from);
  const catalogue = await readCatalogue(repository, { signal, ...(tier === null ? {} : { folders: [tier] }) });
  return { ...catalogue, place: repository.store.description };
}

/** Chooses a snapshot and reads it back. */
export async function verify(context: AppContext, request: VerifyRequest): Promise<VerifyResult> {
  const { repository, manifest } = await choose(context, request);
  const found = await readBack(context, { ...request, repository, manifest });
  return { manifest, place: repository.store.description, ...found };
}

/** Reads a snapshot back, what lies beside it included: hashes it, and decodes it to the end where a key opens it. */
export async function readBack(
  context: AppContext,
  {
    repository,
    manifest,
    identities,
    signal,
    onProgress,
  }: Pick<VerifyRequest, 'identities' | 'signal' | 'onProgress'> & Pick<ChosenSnapshot, 'repository' | 'manifest'>,
): Promise<Pick<VerifyResult, 'decoded' | 'secrets' | 'extra'>> {
  const { settings } = context.load();
  const keys = [...identities, ...identitiesOf(settings.keys)];
  const dump = dumpOf(manifest);
  const encrypted = dump.encryption !== null;
  const decoded = !encrypted || keys.length > 0;
  const reading = { signal, log: context.log, patience: context.readPatience };
  await verifyFully(
    { repository, manifest },
    {
      ...reading,
      threads: settings.threads,
      identities: encrypted ? (decoded ? keys : 'missing') : null,
      onProgress: (bytes) => onProgress({ step: 'verify', bytes, expectedBytes: dump.bytes }),
    },
  );
  const secrets = await verifySecrets(repository, { ...reading, manifest, identities: keys });
  const extra = await verifyExtra(repository, { ...reading, manifest, identities: keys });
  return { decoded, secrets, extra };
}
