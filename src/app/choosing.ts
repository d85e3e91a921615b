// The snapshot that a command is about, chosen alike by all of them; whoever gets an older one than there is, is told why.

import { readCatalogue, whyUnlisted, withUnsigned, type Catalogue } from '../snapshots/catalogue.ts';
import { note, type CheckResult } from '../checks/check.ts';
import { wantsEncrypted } from '../config/age-keys.ts';
import { AppError } from '../errors.ts';
import { chooseSnapshot, objectToPlaintext, type Choice, type PassedOver, type Unseen } from '../snapshots/choice.ts';
import { isAsKnown } from '../snapshots/known-manifests.ts';
import { snapshotName, type Manifest } from '../snapshots/manifest.ts';
import { describeObjection } from '../snapshots/origin.ts';
import { isSnapshotId } from '../snapshots/object-keys.ts';
import type { Repository } from '../snapshots/repository.ts';
import { readMoment } from '../text/moment-reader.ts';
import { asFolder } from '../schedule/tier.ts';
import type { StoreName } from '../storage/store.ts';
import type { AppContext } from './context.ts';

/** Which snapshot a person means, and where. */
export interface SnapshotRequest {
  /** `latest`, `latest:<tier>`, an id, `<tier>/<id>`, or a date. */
  readonly snapshot: string;
  /** The latest is sought among those with data from before this, as it was written. */
  readonly before?: string | undefined;
  readonly from: StoreName | null;
  /** Null: the only instance in the prefix. */
  readonly instance: string | null;
  /** age identities from the command line. */
  readonly identities: readonly string[];
  /** Whether what nobody who is trusted has signed is taken for ours; left out: it is not. */
  readonly acceptUnsigned?: boolean;
}

/** The chosen snapshot, and where it was chosen from. */
export interface ChosenSnapshot {
  readonly repository: Repository;
  readonly catalogue: Catalogue;
  readonly manifest: Manifest;
  /** What is to be said of the choice, for a report. */
  readonly notes: readonly CheckResult[];
}

/** Reads the store that is meant and chooses in it. @throws AppError `no-snapshot`, `verify`, `usage` or `store`. */
export async function choose(
  context: AppContext,
  request: SnapshotRequest & { readonly signal: AbortSignal },
): Promise<ChosenSnapshot> {
  for (;;) {
    const chosen = await chooseAsKnown(context, request);
    if (await isAsKnown(chosen.repository, { ...request, ...chosen })) return chosen;
    context.log.warn(
      { snapshot: snapshotName(chosen.manifest) },
      'What BACKUP_STATE_DIR remembers of the store is not what is there; it is read again',
    );
  }
}

/** As `choose`, in the first destination that has it. Where none has, one that could not be asked is the reason. */
export async function chooseAnywhere(
  context: AppContext,
  request: SnapshotRequest & { readonly signal: AbortSignal },
): Promise<ChosenSnapshot> {
  if (request.from !== null) return choose(context, request);
  const failures: unknown[] = [];
  for (const { store } of await context.stores()) {
    try {
      return await choose(context, { ...request, from: store.name });
    } catch (error) {
      request.signal.throwIfAborted();
      failures.push(error);
    }
  }
  // What is there and damaged says more than a place without it.
  throw failures.find((error) => !isMissing(error)) ?? failures.find(isDamaged) ?? failures[0];
}

/** Whether that is why nothing was chosen: there is no such snapshot, or none that is whole. */
export function isMissing(error: unknown): boolean {
  return isDamaged(error) || (error instanceof AppError && error.code === 'no-snapshot');
}

function isDamaged(error: unknown): boolean {
  return error instanceof AppError && error.code === 'verify' && error.reason === 'damaged-object';
}

async function chooseAsKnown(
  context: AppContext,
  request: SnapshotRequest & { readonly signal: AbortSignal },
): Promise<ChosenSnapshot> {
  const { keys, timeZone } = context.load().settings;
  const encryptedOnly = wantsEncrypted(keys, request);
  const repository = await context.storeToRead(request.from);
  const found = await readWithNamed(repository, request);
  const catalogue = request.acceptUnsigned === true ? withUnsigned(found) : found;
  const choice = chooseSnapshot(catalogue, {
    text: request.snapshot,
    instance: request.instance ?? undefined,
    place: repository.store.description,
    now: context.now(),
    encryptedOnly,
    timeZone,
    before: readBefore(request.before, timeZone),
  });
  const { manifest, passedOver, unseen, remark } = choice;
  warnOfPassedOver(context, choice);
  const objection = found.unsigned.find((one) => one.manifest === manifest)?.objection;
  const doubt = objection === undefined ? [] : [`${snapshotName(manifest)} ${describeObjection(objection)}`];
  for (const text of doubt) context.log.warn({}, `${text}; it is taken all the same`);
  const notes = [
    ...doubt.map((text) => note('signature', text)),
    ...describePassedOver(
      passedOver,
      ({ snapshot, reason }) => `${snapshot} is newer and was passed over: ${reason}`,
    ).map((text) => note('latest', text)),
    ...unseen.map((one) => note('latest', describeUnseen(one))),
    ...(remark === null ? [] : [note('latest', `${snapshotName(manifest)}: ${remark}`)]),
  ];
  return { repository, catalogue, manifest, notes };
}

// One that is named in full is found also where its tier cannot be listed, as with very many objects in it.
async function readWithNamed(
  repository: Repository,
  { snapshot, signal }: { readonly snapshot: string; readonly signal: AbortSignal },
): Promise<Catalogue> {
  const catalogue = await readCatalogue(repository, { signal });
  const [tier = '', id = ''] = snapshot.split('/');
  const folder = asFolder(tier);
  if (folder === undefined || !isSnapshotId(id) || whyUnlisted(catalogue, folder) === null) return catalogue;
  const named = await readCatalogue(repository, { folders: [folder], id, signal }).catch((error: unknown) => {
    if (signal.aborted) throw error;
    return undefined;
  });
  if (named === undefined) return catalogue;
  const all = <Kind extends 'snapshots' | 'damaged' | 'unsigned' | 'unreadable'>(kind: Kind): Catalogue[Kind] =>
    [...catalogue[kind], ...named[kind]] as unknown as Catalogue[Kind];
  return {
    ...catalogue,
    snapshots: all('snapshots'),
    damaged: all('damaged'),
    unsigned: all('unsigned'),
    unreadable: all('unreadable'),
  };
}

function readBefore(text: string | undefined, timeZone: string): Date | undefined {
  if (text === undefined) return undefined;
  const named = readMoment(text, timeZone);
  if (named !== undefined) return named.from;
  throw new AppError('usage', `'${text}' is no moment`, {
    hint: "Write it as '2026-11-23 13:00', in BACKUP_TIMEZONE, or with Z or an offset such as +01:00.",
  });
}

/** As `choose`, for what will be taken for a backup of ours. @throws AppError `usage` when it is in the clear and must not be. */
export async function chooseToRestore(
  context: AppContext,
  request: SnapshotRequest & { readonly signal: AbortSignal },
): Promise<ChosenSnapshot> {
  const chosen = await choose(context, request);
  const objection = wantsEncrypted(context.load().settings.keys, request) ? objectToPlaintext(chosen.manifest) : null;
  if (objection === null) return chosen;
  throw new AppError('usage', `The snapshot '${snapshotName(chosen.manifest)}' is refused: ${objection}`, {
    hint: 'Name another one, or set BACKUP_ALLOW_PLAINTEXT=true for this command if you know that it is yours.',
  });
}

/** Says in the log which newer snapshots are not the latest, and why, and what is odd about the one that is. */
export function warnOfPassedOver(
  { log }: Pick<AppContext, 'log'>,
  { manifest, passedOver, unseen, remark }: Omit<Choice, 'manifest'> & { readonly manifest: Manifest | undefined },
): void {
  for (const one of unseen) log.warn(one, describeUnseen(one));
  const say = ({ snapshot, reason }: PassedOver): string => `A newer snapshot, ${snapshot}, was passed over: ${reason}`;
  for (const text of describePassedOver(passedOver, say)) log.warn({}, text);
  if (manifest !== undefined && remark !== null)
    log.warn({ snapshot: snapshotName(manifest) }, `The chosen snapshot is ${snapshotName(manifest)}: ${remark}`);
}

function describeUnseen({ tier, reason }: Unseen): string {
  return `The tier ${tier} could not be seen, and a newer snapshot may be there: ${reason}`;
}

/** Somebody who may write the store can put any number of them there. */
const mostTold = 20;

function describePassedOver(passedOver: readonly PassedOver[], say: (one: PassedOver) => string): readonly string[] {
  const told = passedOver.slice(0, mostTold);
  const others = passedOver.length - told.length;
  return [...told.map(say), ...(others === 0 ? [] : [`${others} more are newer and were passed over as well`])];
}
