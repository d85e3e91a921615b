// What holds after every fault, whatever it was and however the program ended: what is listed restores, nothing else is listed,
// nothing that was there is gone, and what was said is so.

import { openApp } from '../../support/app.ts';
import { runProgram } from '../../../src/cli/program.ts';
import type { Ending } from './attempt.ts';
import { quiet } from './attempt.ts';
import type { Fault, Operation } from './fault.ts';
import type { Flavour } from './flavours.ts';
import { readSnapshots, sha256Of, type FoundSnapshot, type Place, type PlaceName } from './places.ts';
import type { Stage } from './stage.ts';

/** Exit statuses of the contract. */
const contractStatuses = [0, 2, 3, 4, 10, 11, 12, 13, 20, 21, 22, 124, 130];

/** What an operation was to do, and what may be different because of it. */
export interface Expectation {
  readonly operation: Operation;
  readonly flavour: Flavour;
  /** Snapshots that were taken away before the operation, by place. */
  readonly missing: Readonly<Record<PlaceName, readonly string[]>>;
  /** Where retention may work. */
  readonly mayPrune: readonly PlaceName[];
}

/** What was found in a place. */
export interface PlaceView {
  readonly place: Place;
  readonly snapshots: readonly FoundSnapshot[];
  readonly fresh: readonly FoundSnapshot[];
}

/** Looks at both places; what is wrong is added to `violations`. */
export async function inspectPlaces(
  stage: Stage,
  { flavour, missing, mayPrune, operation }: Expectation,
  violations: string[],
): Promise<readonly PlaceView[]> {
  const views: PlaceView[] = [];
  for (const place of stage.places(flavour.name)) {
    const say = (text: string): void => void violations.push(`${place.name}: ${text}`);
    const keys = await place.keys();
    const { snapshots, unreadable } = await readSnapshots(place, keys.keys());
    for (const key of unreadable) say(`${key} cannot be read`);
    const gone: string[] = [];
    const isOf = (names: readonly string[], key: string): boolean => names.some((name) => key.startsWith(`${name}.`));
    for (const [key, version] of flavour.versions[place.name]) {
      if (isOf(missing[place.name], key)) continue;
      const now = keys.get(key);
      if (now === undefined && !(mayPrune.includes(place.name) && isOf(flavour.expired, key))) say(`${key} is gone`);
      if (now === undefined) gone.push(key);
      // A hard link to a file changes neither its bytes nor its time.
      if (now !== undefined && now !== version) say(`${key} was overwritten`);
    }
    for (const snapshot of snapshots) {
      const lacking = snapshot.keys.filter((key) => !keys.has(key));
      if (lacking.length > 0) {
        say(`${snapshot.name} is listed without ${lacking.join(', ')}`);
        continue;
      }
      const problem = await problemOf(stage, { flavour, place, snapshot });
      if (problem !== undefined) say(`${snapshot.name} is listed and does not restore: ${problem}`);
    }
    const before = new Set(flavour.baseline.keys());
    const wasThere = (name: string): boolean => before.has(`${name}.json`) && !missing[place.name].includes(name);
    const fresh = snapshots.filter(({ name }) => !wasThere(name));
    // Where a run has stored nothing, retention removes nothing.
    if (operation !== 'prune' && gone.length > 0 && fresh.length === 0)
      say(`${gone.join(', ')} was removed though nothing new came`);
    const most = operation === 'prune' || operation === 'restore' || operation === 'drill' ? 0 : 1;
    if (fresh.length > most) say(`${fresh.map(({ name }) => name).join(', ')} came of one ${operation}`);
    views.push({ place, snapshots, fresh });
  }
  return views;
}

async function problemOf(
  stage: Stage,
  { flavour, place, snapshot }: { readonly flavour: Flavour; readonly place: Place; readonly snapshot: FoundSnapshot },
): Promise<string | undefined> {
  for (const { key, bytes, sha256 } of snapshot.parts) {
    const content = await place.read(key);
    if (content.length !== bytes) return `${key} has ${content.length} bytes instead of ${bytes}`;
    if (sha256Of(content) !== sha256) return `${key} has another SHA-256 than its manifest says`;
    if (key !== snapshot.dump.key) continue;
    const problem = await stage.judge(flavour.name).problemOf(content, snapshot.dump);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** Looks at what is there and no snapshot: unfinished writes, and objects of what cannot have succeeded. */
export async function inspectRemains(
  { flavour }: Expectation,
  { fault, ending, views }: { readonly fault: Fault; readonly ending: Ending; readonly views: readonly PlaceView[] },
): Promise<readonly string[]> {
  const problems: string[] = [];
  if (fault.spoils === true && ending.status === 0) problems.push('it says that it succeeded, and cannot have');
  for (const { place, snapshots } of views) {
    const named = new Set(snapshots.flatMap(({ keys }) => keys));
    const orphans = [...(await place.keys()).keys()].filter((key) => !named.has(key) && !flavour.baseline.has(key));
    const objects = orphans.filter((key) => !key.startsWith('drills/'));
    if (fault.spoils === true && objects.length > 0)
      problems.push(`${place.name}: ${objects.join(', ')} was stored of a dump that failed`);
    const isExcused = fault.wounds === place.name || (fault.silences === true && ending.status !== 0);
    const unfinished = isExcused ? [] : await place.unfinished();
    if (unfinished.length > 0) problems.push(`${place.name}: ${unfinished.join(', ')} is left unfinished`);
  }
  return problems;
}

/** Compares what the program lists with what is there. */
export async function inspectListing(
  environment: Readonly<Record<string, string>>,
  views: readonly PlaceView[],
  violations: string[],
): Promise<void> {
  for (const { place, snapshots } of views) {
    let stdout = '';
    const lines: string[] = [];
    await using app = openApp(environment, { lines });
    const context = { app, signal: AbortSignal.timeout(60_000), write: (text: string) => void (stdout += text) };
    try {
      await runProgram(['list', '--from', place.name, '--json'], { ...context, ...quiet });
    } catch (error) {
      violations.push(`${place.name}: list fails: ${String(error)}`);
      continue;
    }
    const { snapshots: listed, damaged, unreadable } = JSON.parse(stdout) as Record<string, Listed[]>;
    const names = (listed ?? []).map(({ tier, id }) => `${tier}/${id}`).toSorted();
    const there = snapshots.map(({ name }) => name).toSorted();
    if (names.join() !== there.join())
      violations.push(`${place.name}: listed are ${names.join(', ')}, there are ${there.join(', ')}`);
    for (const one of [...(damaged ?? []), ...(unreadable ?? [])])
      violations.push(`${place.name}: ${JSON.stringify(one).slice(0, 200)} is listed as damaged or unreadable`);
  }
}

interface Listed {
  readonly id: string;
  readonly tier: string;
}

/** Compares what the program said with what there is. */
export function inspectWords(
  ending: Ending,
  {
    fault,
    operation,
    views,
  }: { readonly fault: Fault | undefined; readonly operation: Operation; readonly views: readonly PlaceView[] },
  { violations, notes }: { readonly violations: string[]; readonly notes: string[] },
): void {
  for (const uncaught of ending.uncaught) violations.push(`nobody caught: ${uncaught.slice(0, 600)}`);
  const silenced =
    fault?.silences === true && (ending.status === null || ending.status === 134 || ending.status === 133);
  // Told to stop while Node still loads it, it has begun nothing and knows of no signals.
  const isUnborn = fault?.interrupts === true && fault.spawns && ending.status === null && ending.stderr === '';
  if (silenced || isUnborn) return;
  const { status, stderr } = ending;
  if (status === null || !contractStatuses.includes(status))
    violations.push(`it ended with ${status}: ${tail(stderr)}`);
  const own = stderr.split('\n').filter((line) => line.startsWith('mastodon-backup: '));
  const others = stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{') && !line.startsWith('mastodon-backup: '));
  if (others.length > 0) violations.push(`on stderr: ${others.join(' | ').slice(0, 600)}`);
  if (/Unexpected failure/.test(stderr)) violations.push(`it says: ${tail(stderr)}`);
  if (status === 0 ? own.length > 0 : own.length !== 1 || !/^mastodon-backup: .+\. .+/.test(own[0] ?? ''))
    violations.push(`it ended with ${status} and these last words: ${own.join(' | ') || 'none'}`);
  if (status === 130 && fault?.interrupts !== true) violations.push('it says that it was interrupted, and was not');
  if (operation === 'run' || operation === 'copy') inspectDestinations(ending, views, { violations, notes });
  if (operation === 'mend' && status === 0) {
    const { copied } = parse(ending.stdout) as { copied?: boolean };
    const count = views.reduce((sum, { fresh }) => sum + fresh.length, 0);
    if (copied === true && count === 0) violations.push('it says that it copied, and nothing was');
    if (copied === false && count > 0) notes.push('copied, though it says that it did not');
  }
}

function inspectDestinations(
  { status, stdout, stderr }: Ending,
  views: readonly PlaceView[],
  { violations, notes }: { readonly violations: string[]; readonly notes: string[] },
): void {
  const { id, tier, destinations } = parse(stdout) as {
    id?: string | null;
    tier?: string;
    destinations?: { store: string; status: string }[];
  };
  if (status === 0 && destinations === undefined) violations.push(`it ended with 0 and said nothing: ${tail(stderr)}`);
  if (status === 0 && destinations?.some((one) => one.status !== 'stored') === true)
    violations.push('it ended with 0, and not every destination has it');
  for (const { place, fresh } of views) {
    const said = destinations?.find(({ store }) => store === place.name)?.status;
    const isThere = fresh.some(({ name }) => name === `${tier}/${id}`);
    if (said === 'stored' && !isThere) violations.push(`${place.name}: it says stored, and ${tier}/${id} is not there`);
    if (said !== 'stored' && fresh.length > 0) notes.push('a backup is there, though it says that it failed');
  }
}

function parse(text: string): object {
  try {
    return JSON.parse(text) as object;
  } catch {
    return {};
  }
}

/** The end of a text. */
export function tail(text: string): string {
  return text.trimEnd().slice(-500);
}
