// `adopt` of base backups and log: a base and what is behind it are read back, looked at as a restore does, and signed, the log first
// and the base's document last, so that nothing counts of which a part does not.

import { identitiesOf } from '../config/age-keys.ts';
import { AppError, describeError } from '../errors.ts';
import { examineForAdoption, openChain, readAllLineages, type Adoptable, type OpenChain } from '../pitr/adoption.ts';
import { formatLsn } from '../pitr/lsn.ts';
import { describeHole, followBase } from '../pitr/plan.ts';
import { decodeBase, encodeBase, type BaseDocument } from '../snapshots/base-document.ts';
import { listChains, readChain, type Chain } from '../snapshots/chain-catalogue.ts';
import { baseDocumentKey } from '../snapshots/chain-keys.ts';
import { removeFalseSignature } from '../snapshots/deletion-law.ts';
import { readAll } from '../snapshots/document-reading.ts';
import { describeObjection, readOrigin, storeSignature, type Objection } from '../snapshots/origin.ts';
import type { Repository } from '../snapshots/repository.ts';
import { signStatement } from '../snapshots/wal-signature.ts';
import type { ObjectKey } from '../storage/store.ts';
import type { Adoption, AdoptRequest } from './adopt-verb.ts';
import type { AppContext } from './context.ts';
import { lockFor } from './locking.ts';

/** Adopts the base backups that are meant, with the log behind them; `seen` is told every name that there is. */
export async function adoptChains(
  context: AppContext,
  { seen, ...request }: AdoptRequest & { readonly repository: Repository; readonly seen: Set<string> },
): Promise<readonly Adoption[]> {
  const { repository, signal } = request;
  const servers = await listChains(repository, { signal });
  if (servers.length === 0) return [];
  // Retention must not take what is looked at; a base backup that is under way is waited for.
  await using _lock = await lockFor(context, { name: 'base', command: 'adopt', wait: true, signal });
  const adoptions: Adoption[] = [];
  for (const systemIdentifier of servers) {
    const chain = await readChain(repository, { systemIdentifier, signal });
    const open = await openChain(repository, { systemIdentifier, signal });
    const known = new Set<ObjectKey>();
    // The oldest first: the log behind it is that of the others too.
    for (const one of (await candidatesOf(context, { ...request, chain, open })).toReversed()) {
      const names = [one.document.id, nameOf(one.document)];
      for (const name of names) seen.add(name);
      const isMeant =
        request.snapshots === null
          ? one.document.instance === context.load().instance && one.isOpen
          : names.some((name) => request.snapshots?.includes(name));
      if (!isMeant) continue;
      adoptions.push(
        one.problem === null
          ? await adoptBase(context, { ...request, ...one, open, known })
          : refusal(one.document, { repository, problem: one.problem }),
      );
    }
  }
  return adoptions;
}

interface Candidate {
  readonly document: BaseDocument;
  /** What speaks against the document; null: nothing does. */
  readonly objection: Objection | null;
  /** Whether it or log behind it counts for nothing. */
  readonly isOpen: boolean;
  /** Why it is not known which log is behind it; null: it is. */
  readonly problem: string | null;
}

async function candidatesOf(
  context: AppContext,
  { chain, open, identities, signal }: AdoptRequest & { readonly chain: Chain; readonly open: OpenChain },
): Promise<readonly Candidate[]> {
  const unsigned = new Set(chain.unsignedWal.map(({ key }) => key));
  const keys = keysOf(context, identities);
  // What is adopted beside it is reported all the same.
  const lineages = await readAllLineages({ ...open, identities: keys, log: context.log, signal }).catch(
    (error: unknown) => {
      signal.throwIfAborted();
      return describeError(error);
    },
  );
  const objections = new Map(chain.unsigned.map(({ document, objection }) => [document.id, objection]));
  return open.chain.bases.map((document) => {
    const objection = objections.get(document.id) ?? null;
    if (typeof lineages === 'string')
      return { document, objection, isOpen: objection !== null || unsigned.size > 0, problem: lineages };
    const { segments } = followBase(document, { wal: open.chain.wal, lineages });
    const isOpen = objection !== null || segments.some(({ tiles }) => tiles.some(({ key }) => unsigned.has(key)));
    return { document, objection, isOpen, problem: null };
  });
}

async function adoptBase(
  context: AppContext,
  options: AdoptRequest &
    Candidate & { readonly repository: Repository; readonly open: OpenChain; readonly known: Set<ObjectKey> },
): Promise<Adoption> {
  const { document, objection, repository, open, known, signal } = options;
  const snapshot = nameOf(document);
  const place = repository.store.description;
  const refused = (problem: string): Adoption => refusal(document, { repository, problem });
  if (objection?.kind === 'stranger')
    return refused(`it ${describeObjection(objection)}; if that is a key of yours, add it to BACKUP_TRUSTED_SIGNERS`);
  const keys = keysOf(context, options.identities);
  try {
    const found = await examineForAdoption(document, {
      ...open,
      identities: keys.length === 0 ? null : keys,
      threads: context.load().settings.threads,
      known,
      patience: context.readPatience,
      onProgress: (bytes, expectedBytes) => options.onProgress({ step: 'verify', bytes, expectedBytes }),
      log: context.log,
      signal,
    });
    await signAll(context, { ...options, found });
    for (const { key } of found.stated) known.add(key);
    const { segments, reaches, hole } = found;
    context.log.info({ snapshot, store: place, segments }, 'Base backup and log adopted');
    return {
      snapshot,
      place,
      adopted: true,
      decoded: true,
      problem: null,
      log: { segments, reaches: formatLsn(reaches), hole: hole === null ? null : describeHole(hole) },
    };
  } catch (error) {
    signal.throwIfAborted();
    context.log.warn({ err: error, snapshot, store: place }, 'A base backup and its log could not be adopted');
    return refused(describeError(error));
  }
}

function refusal(
  document: BaseDocument,
  { repository, problem }: { readonly repository: Repository; readonly problem: string },
): Adoption {
  const place = repository.store.description;
  return { snapshot: nameOf(document), place, adopted: false, decoded: false, problem, log: null };
}

async function signAll(
  context: AppContext,
  {
    found,
    document,
    objection,
    repository,
    signal,
  }: Candidate & { readonly found: Adoptable; readonly repository: Repository; readonly signal: AbortSignal },
): Promise<void> {
  const { log } = context;
  // All of it is asked before anything is signed.
  for (const stated of found.stated) {
    const against = await readOrigin(repository, { key: stated.key, content: stated.statement, signal });
    if (against?.kind !== 'stranger') continue;
    // What is reported of an adoption is the message alone.
    throw new AppError(
      'verify',
      `'${stated.key}' ${describeObjection(against)}; if that is a key of yours, add it to BACKUP_TRUSTED_SIGNERS`,
      { hint: 'Find out whose key that is, then adopt again.' },
    );
  }
  for (const stated of found.stated) await signStatement(repository, { ...stated, log, signal });
  if (objection === null) return;
  const key = baseDocumentKey({ prefix: repository.prefix, systemIdentifier: document.systemIdentifier }, document.id);
  // The bytes that are signed are those that are there now, and they must say what was looked at.
  const content = await readAll(await repository.store.get(key, { signal }));
  const decoded = decodeBase(content);
  if (decoded.kind === 'unreadable' || !encodeBase(decoded.document).equals(encodeBase(document)))
    throw new Error(`'${key}' in ${repository.store.description} is no longer the document that was read`);
  if (objection.kind === 'false') await removeFalseSignature(repository, { key, content, log, signal });
  await storeSignature(repository, { key, content, signal });
}

function keysOf(context: AppContext, identities: readonly string[]): readonly string[] {
  return [...identities, ...identitiesOf(context.load().settings.keys)];
}

function nameOf({ id }: BaseDocument): string {
  return `pitr/${id}`;
}
