// What a store holds below `pitr/`: for each server its base backups, told by their documents, and pieces of its log, told by
// their names. One document that cannot be read hides nothing else.

import { AppError, describeError } from '../errors.ts';
import type { ObjectKey, StoredObject } from '../storage/store.ts';
import { plural } from '../text/table.ts';
import { decodeBase, type BaseDocument } from './base-document.ts';
import { baseDocumentKey, baseKey, chainPrefix, chainsPrefix, parseChainKey, type ChainKey } from './chain-keys.ts';
import { readAll } from './document-reading.ts';
import { readOrigin, wantsSigned, type Objection } from './origin.ts';
import type { Repository } from './repository.ts';

/** A piece of the log in a store. */
export type StoredWal = Extract<ChainKey, { kind: 'segment' | 'part' }> & Pick<StoredObject, 'bytes' | 'modifiedAt'>;

/** A timeline's history in a store. */
export type StoredHistory = Extract<ChainKey, { kind: 'history' }> & Pick<StoredObject, 'bytes'>;

/** What is stored of one server. */
export interface Chain {
  readonly systemIdentifier: string;
  /** Newest first. */
  readonly bases: readonly BaseDocument[];
  /** Bases whose tar is missing or of another size. */
  readonly damaged: readonly { readonly id: string; readonly reason: string }[];
  /** Bases whose document says nothing to us: what they need is not known. */
  readonly unreadable: readonly { readonly id: string; readonly reason: string }[];
  /** Whole bases that nobody who is trusted has signed: they count for nothing. */
  readonly unsigned: readonly { readonly document: BaseDocument; readonly objection: Objection }[];
  /** Of documents, by the id of their base. */
  readonly signatures: readonly { readonly key: ObjectKey; readonly id: string }[];
  readonly wal: readonly StoredWal[];
  /** Pieces without a signature, where only what is signed counts: whether one is the right one is seen when a piece is read. */
  readonly unsignedWal: readonly StoredWal[];
  /** Of pieces of the log and of histories. */
  readonly walSignatures: readonly Extract<ChainKey, { kind: 'wal-signature' }>[];
  readonly histories: readonly StoredHistory[];
  readonly unsignedHistories: readonly StoredHistory[];
  /** Tars without a document. */
  readonly orphans: readonly { readonly key: ObjectKey; readonly id: string; readonly modifiedAt: Date }[];
  /** The first of what this program did not write. */
  readonly foreign: readonly StoredObject[];
  /** Bytes of all that is ours. */
  readonly bytes: number;
}

/**
 * What is listed and held of a place, where anybody who may write it can have put any number of things: a log of 4 TB signed, or
 * twice as much; more servers than anybody moves to; documents of some thousand bases.
 */
const mostObjects = 500_000;
const mostForeign = 1_000;
const mostListed = 2_000_000;
const mostServers = 64;
const mostUnprovenBytes = 8 * 1024 * 1024;

function tooMuch(what: string, { description }: Pick<Repository['store'], 'description'>): AppError {
  return new AppError('store', `${what} in ${description}, which is more than is looked at`, {
    hint: 'Look at what is there, and move away what is not from this program.',
  });
}

/** The system identifiers of all servers of which there is a chain. Rejects with AppError `store` where there are too many. */
export async function listChains(
  { store, prefix }: Repository,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly string[]> {
  const found = new Set<string>();
  const folder = chainsPrefix(prefix);
  let listed = 0;
  for await (const { key } of store.list(folder, { signal })) {
    listed += 1;
    if (listed > mostListed) throw tooMuch(`'${folder}' holds more than ${mostListed} objects`, store);
    const parsed = parseChainKey(key, { prefix });
    if (parsed !== undefined) found.add(parsed.systemIdentifier);
    if (found.size > mostServers) throw tooMuch(`'${folder}' holds log of more than ${mostServers} servers`, store);
  }
  return [...found];
}

/** Reads what is stored of one server. Rejects with AppError `store` when it cannot be listed, or holds more than is looked at. */
export async function readChain(
  repository: Repository,
  { systemIdentifier, signal }: { readonly systemIdentifier: string; readonly signal: AbortSignal },
): Promise<Chain> {
  const { store, prefix } = repository;
  const place = { prefix, systemIdentifier };
  const wal: StoredWal[] = [];
  const histories: StoredHistory[] = [];
  const walSignatures: Extract<ChainKey, { kind: 'wal-signature' }>[] = [];
  const documents: string[] = [];
  const signatures: { key: ObjectKey; id: string }[] = [];
  const tars = new Map<ObjectKey, { readonly id: string; readonly stored: StoredObject }>();
  const foreign: StoredObject[] = [];
  let bytes = 0;
  let listed = 0;
  for await (const stored of store.list(chainPrefix(place), { signal })) {
    listed += 1;
    if (listed > mostObjects) throw tooMuch(`'${chainPrefix(place)}' holds more than ${mostObjects} objects`, store);
    const parsed = parseChainKey(stored.key, { prefix });
    if (parsed === undefined) {
      if (foreign.length < mostForeign) foreign.push(stored);
      continue;
    }
    bytes += stored.bytes;
    if (parsed.kind === 'base-signature') signatures.push({ key: parsed.key, id: parsed.id });
    else if (parsed.kind === 'base-document') documents.push(parsed.id);
    else if (parsed.kind === 'base') tars.set(parsed.key, { id: parsed.id, stored });
    else if (parsed.kind === 'wal-signature') walSignatures.push(parsed);
    else if (parsed.kind === 'history') histories.push({ ...parsed, bytes: stored.bytes });
    else wal.push({ ...parsed, bytes: stored.bytes, modifiedAt: stored.modifiedAt });
  }
  const bases: BaseDocument[] = [];
  const damaged: { id: string; reason: string }[] = [];
  const unreadable: { id: string; reason: string }[] = [];
  const unsigned: { document: BaseDocument; objection: Objection }[] = [];
  const isTrusting = !wantsSigned(repository.signing);
  const withSignature = new Set(signatures.map(({ id }) => id));
  // What can count comes first.
  documents.sort((a, b) => Number(withSignature.has(b)) - Number(withSignature.has(a)));
  let unprovenBytes = 0;
  for (const id of documents) {
    if (unprovenBytes > mostUnprovenBytes && (isTrusting || !withSignature.has(id))) {
      unreadable.push({ id, reason: tooUnproven });
      continue;
    }
    const read = await readBase(repository, { systemIdentifier, id, signal });
    if (typeof read === 'string') {
      unreadable.push({ id, reason: read });
      continue;
    }
    const { document, objection } = read;
    if (isTrusting || objection !== null) unprovenBytes += read.bytes;
    if (unprovenBytes > mostUnprovenBytes && (isTrusting || objection !== null)) {
      unreadable.push({ id, reason: tooUnproven });
      continue;
    }
    const tar = tars.get(baseKey(place, document.tar.name));
    if (tar === undefined) damaged.push({ id, reason: 'its tar is missing' });
    else if (tar.stored.bytes !== document.tar.bytes)
      damaged.push({ id, reason: `its tar has ${plural(tar.stored.bytes, 'byte')} instead of ${document.tar.bytes}` });
    else if (objection !== null) unsigned.push({ document, objection });
    else bases.push(document);
  }
  const known = new Set(documents);
  const signed = new Set(walSignatures.map(({ of }) => of));
  const counts = ({ key }: { readonly key: ObjectKey }): boolean => !wantsSigned(repository.signing) || signed.has(key);
  return {
    systemIdentifier,
    bases: bases.toSorted((a, b) => b.endedAt.getTime() - a.endedAt.getTime()),
    damaged,
    unreadable,
    unsigned,
    signatures,
    wal: wal.filter(counts),
    unsignedWal: wal.filter((one) => !counts(one)),
    walSignatures,
    histories: histories.filter(counts),
    unsignedHistories: histories.filter((one) => !counts(one)),
    orphans: [...tars]
      .filter(([, { id }]) => !known.has(id))
      .map(([key, { id, stored }]) => ({ key, id, modifiedAt: stored.modifiedAt })),
    foreign,
    bytes,
  };
}

const tooUnproven = 'nobody trusted has signed it, and there is too much of that';

// A text: why not.
async function readBase(
  repository: Repository,
  {
    systemIdentifier,
    id,
    signal,
  }: { readonly systemIdentifier: string; readonly id: string; readonly signal: AbortSignal },
): Promise<{ readonly document: BaseDocument; readonly objection: Objection | null; readonly bytes: number } | string> {
  const key = baseDocumentKey({ prefix: repository.prefix, systemIdentifier }, id);
  try {
    const content = await readAll(await repository.store.get(key, { signal }));
    const decoded = decodeBase(content);
    if (decoded.kind === 'unreadable') return decoded.reason;
    const { document } = decoded;
    if (document.id !== id || document.systemIdentifier !== systemIdentifier) return 'it says it is another base';
    return { document, objection: await readOrigin(repository, { key, content, signal }), bytes: content.length };
  } catch (error) {
    signal.throwIfAborted();
    return describeError(error);
  }
}
