// One fault from its number to its verdict: put back, strike, look, do it once more undisturbed, look again, sweep.

import { rmSync } from 'node:fs';
import { attemptApart, attemptHere, argumentsOf, type Ending } from './attempt.ts';
import { createChance, type Chance } from './chance.ts';
import { drawClockFault, drawDatabaseFault, drawMemoryFault } from './database-faults.ts';
import { drawDirectoryFault } from './directory-faults.ts';
import { operations, type Fault, type Operation } from './fault.ts';
import { flavourNames, type FlavourName } from './flavours.ts';
import { inspectListing, inspectPlaces, inspectRemains, inspectWords, tail, type Expectation } from './invariants.ts';
import { leftBehind, leftBySweep } from './leftovers.ts';
import { drawNetworkFault } from './network-faults.ts';
import type { PlaceName } from './places.ts';
import { drawProcessFault } from './process-faults.ts';
import type { Stage } from './stage.ts';

/** A fault as it was drawn. */
export interface FaultCase {
  readonly index: number;
  readonly operation: Operation;
  readonly flavour: FlavourName;
  readonly superuser: boolean;
  readonly settings: Readonly<Record<string, string>>;
  readonly fault: Fault;
  /** Where the newest snapshot is missing, when it is to be mended. */
  readonly missingAt: PlaceName;
}

/** What came of it. */
export interface Verdict {
  readonly index: number;
  readonly family: string;
  readonly kind: string;
  readonly operation: Operation;
  readonly what: string;
  /** How it ended under the fault. */
  readonly status: number | null;
  readonly violations: readonly string[];
  /** What is no violation, but worth counting. */
  readonly notes: readonly string[];
  readonly seconds: number;
}

/** Longest that any operation may take under a fault, in milliseconds: beyond all of its own limits. */
const longestMs = 120_000;
/** What retention follows. */
const prunes: readonly Operation[] = ['run', 'copy', 'prune'];
/** The name of the database that is restored. */
const restored = 'brought_back';

/** Draws fault number `index` of the campaign `seed`; `only` restricts what is drawn to one family or operation. */
export function drawCase(
  seed: number,
  index: number,
  only: { readonly operation?: Operation | undefined; readonly family?: Fault['family'] | undefined } = {},
): FaultCase {
  const chance = createChance(seed, index);
  const weights: Readonly<Record<Operation, number>> = {
    run: 36,
    copy: 14,
    prune: 12,
    mend: 12,
    restore: 16,
    drill: 10,
  };
  const drawn = chance.weighted(operations.map((operation) => [weights[operation], operation] as const));
  const operation = only.operation ?? drawn;
  const flavour = drawFlavour(chance, operation);
  const superuser = chance.happens(0.4);
  const verify = chance.happens(0.25) ? 'etag' : 'full';
  const missingAt = chance.one<PlaceName>(['s3', 'local']);
  const family = chance.weighted<Fault['family']>([
    [40, 'process'],
    [30, 'network'],
    [operation === 'restore' || operation === 'drill' ? 2 : 18, 'directory'],
    [operation === 'mend' ? 2 : 18, 'database'],
    [4, 'memory'],
    [3, 'clock'],
  ]);
  const fault = drawFault(chance, { family: only.family ?? family, operation });
  return { index, operation, flavour, superuser, missingAt, fault, settings: { BACKUP_VERIFY: verify } };
}

function drawFlavour(chance: Chance, operation: Operation): FlavourName {
  const largeWeight = operation === 'run' ? 3 : operation === 'copy' || operation === 'mend' ? 1 : 0;
  const weights: Readonly<Record<FlavourName, number>> = { plain: 6, age: 3, large: largeWeight };
  return chance.weighted(flavourNames.map((name) => [weights[name], name] as const));
}

function drawFault(
  chance: Chance,
  { family, operation }: { readonly family: Fault['family']; readonly operation: Operation },
): Fault {
  switch (family) {
    case 'process':
      return drawProcessFault(chance, operation);
    case 'network':
      return drawNetworkFault(chance);
    case 'directory':
      return drawDirectoryFault(chance);
    case 'database':
      return drawDatabaseFault(chance);
    case 'memory':
      return drawMemoryFault(chance, operation);
    case 'clock':
      return drawClockFault(chance);
    default:
      return family satisfies never;
  }
}

/** Times of undisturbed operations, in milliseconds, by operation and flavour; they follow the machine. */
export type Pace = Map<string, number>;

/** Carries a fault out and judges. */
export async function carryOut(
  stage: Stage,
  { drawn, pace }: { readonly drawn: FaultCase; readonly pace: Pace },
): Promise<Verdict> {
  const { operation, flavour: name, fault } = drawn;
  const startedAt = performance.now();
  const violations: string[] = [];
  const notes: string[] = [];
  await stage.reset(name);
  const flavour = stage.flavour(name);
  const missing = operation === 'mend' ? await takeNewest(stage, drawn) : { s3: [], local: [] };
  const environment = environmentOf(stage, drawn);
  const expectation: Expectation = {
    operation,
    flavour,
    missing,
    mayPrune: !prunes.includes(operation) ? [] : fault.partsClocks === true ? ['local'] : ['s3', 'local'],
  };

  const key = `${operation} ${name}${fault.spawns ? ' apart' : ''}`;
  const typicalMs = pace.get(key) ?? (fault.spawns ? 1_500 : 1_000) * (operation === 'drill' ? 4 : 1);
  const ending = await strike(stage, { drawn, environment, typicalMs });
  if (ending === undefined) {
    return {
      ...verdictOf(drawn),
      status: null,
      notes,
      seconds: 0,
      violations: [`it did not end within ${longestMs / 1_000} s`],
    };
  }

  const views = await inspectPlaces(stage, expectation, violations);
  inspectWords(ending, { fault, operation, views }, { violations, notes });
  violations.push(...(fault.violations?.() ?? []), ...(await inspectRemains(expectation, { fault, ending, views })));
  await inspectListing(environment, views, violations);
  const silenced = fault.silences === true && ending.status !== 0;
  if (operation === 'restore') await inspectRestored(stage, { drawn, ending, silenced }, violations);
  if (operation === 'restore') await inspectUnnamed(stage, { drawn, ending }, violations);
  // Nobody begins again beside what is still alive: a container that is restarted has ended it.
  const left = await leftBehind(stage, { traces: silenced ? 'any' : 'none' });
  violations.push(...left.map((one) => `left: ${one}`));

  // Once more, and nothing in the way.
  const isAnswered = operation === 'copy' && views.some(({ fresh }) => fresh.length > 0);
  const again = await endOf(
    attemptHere({
      operation,
      args: argumentsOf(operation, { database: restored }),
      environment,
      patient: true,
      skewMs: 0,
    }),
  );
  if (again === undefined) violations.push('the next one, undisturbed, does not end');
  else {
    const said: string[] = [];
    const found = await inspectPlaces(stage, { ...expectation, mayPrune: ['s3', 'local'] }, []);
    const later = found.map((view, at) => ({
      ...view,
      fresh: view.fresh.filter(({ name: one }) => views[at]?.fresh.every((old) => old.name !== one)),
    }));
    inspectWords(
      again,
      { fault: undefined, operation: isAnswered ? 'prune' : operation, views: later },
      { violations: said, notes: [] },
    );
    if (again.status !== 0) said.push(`it ended with ${again.status}: ${tail(again.stderr)}`);
    if (operation === 'restore') await inspectRestored(stage, { drawn, ending: again, silenced: false }, said);
    violations.push(...said.map((one) => `the next one, undisturbed: ${one}`));
    violations.push(
      ...(await leftBehind(stage, { traces: 'none', staleLocks: true })).map(
        (one) => `left after the next one: ${one}`,
      ),
    );
    violations.push(...(await leftBySweep(stage, flavour)));
    const paceKey = `${operation} ${name}`;
    pace.set(paceKey, 0.7 * (pace.get(paceKey) ?? again.durationMs) + 0.3 * again.durationMs);
    pace.set(`${paceKey} apart`, (pace.get(paceKey) ?? 0) + 600);
  }
  if (violations.length > 0) violations.push(`its log: ${warningsOf(ending)}`);
  return {
    ...verdictOf(drawn),
    status: ending.status,
    violations,
    notes,
    seconds: (performance.now() - startedAt) / 1_000,
  };
}

/** The case in words. */
export function verdictOf(drawn: FaultCase): Pick<Verdict, 'index' | 'family' | 'kind' | 'operation' | 'what'> {
  const { index, operation, flavour, superuser, fault } = drawn;
  const what = `${operation} (${flavour}${superuser ? ', as superuser' : ''}, ${fault.spawns ? 'program' : 'in process'}): ${fault.family}: ${fault.detail}`;
  return { index, family: fault.family, kind: fault.kind, operation, what };
}

function environmentOf(stage: Stage, drawn: FaultCase): Readonly<Record<string, string>> {
  const superuser = drawn.superuser ? { DB_USER: 'postgres' } : {};
  return { ...stage.flavour(drawn.flavour).settings, ...drawn.settings, ...superuser };
}

async function strike(
  stage: Stage,
  {
    drawn,
    environment,
    typicalMs,
  }: { readonly drawn: FaultCase; readonly environment: Readonly<Record<string, string>>; readonly typicalMs: number },
): Promise<Ending | undefined> {
  const { operation, fault } = drawn;
  const options = {
    operation,
    args: argumentsOf(operation, { database: restored }),
    environment: { ...environment, ...fault.settings },
    skewMs: fault.skewMs ?? 0,
  };
  const over = new AbortController();
  let attempt: ReturnType<typeof attemptHere> | undefined;
  const victim = {
    typicalMs,
    processId: () => attempt?.victim.processId(),
    interrupt: () => attempt?.victim.interrupt(),
    kill: () => attempt?.victim.kill(),
    rival: async () => attemptHere(options).ending,
    over: over.signal,
  };
  const fate = await fault.begin(stage, victim);
  try {
    attempt = fault.spawns ? attemptApart(options) : attemptHere(options);
    const ending = await endOf(attempt);
    if (ending === undefined && fault.spawns) attempt.victim.kill();
    return ending;
  } finally {
    over.abort();
    await fate[Symbol.asyncDispose]();
  }
}

// What it warned of, which mostly tells how a violation came about.
function warningsOf({ stderr }: Ending): string {
  const lines = stderr.split('\n').filter((line) => /^\{"level":[456]0|^mastodon-backup: /.test(line));
  return (
    lines
      .map((line) => line.replace(/"stack":".*?(?<!\\)",?/, '').slice(0, 400))
      .slice(-6)
      .join('\n') || 'nothing'
  );
}

async function endOf({ ending }: ReturnType<typeof attemptHere>): Promise<Ending | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), longestMs);
  });
  const first = await Promise.race([ending, late]);
  clearTimeout(timer);
  return first;
}

async function takeNewest(stage: Stage, { flavour, missingAt }: FaultCase): Promise<Expectation['missing']> {
  const { newest, baseline } = stage.flavour(flavour);
  const place = stage.places(flavour).find((one) => one.name === missingAt);
  for (const key of baseline.keys()) if (key.startsWith(`${newest}.`)) await place?.remove(key);
  const none: Expectation['missing'] = { s3: [], local: [] };
  return { ...none, [missingAt]: [newest] };
}

// Under its real name a database is whole or not there.
async function inspectRestored(
  stage: Stage,
  { drawn, ending, silenced }: { readonly drawn: FaultCase; readonly ending: Ending; readonly silenced: boolean },
  violations: string[],
): Promise<void> {
  const rows = await stage.ask(`select from pg_database where datname = '${restored}'`);
  const isThere = rows.length > 0;
  if (ending.status === 0 && !isThere) violations.push('it says that it restored, and there is no such database');
  if (!isThere) return;
  const problem = await problemOf(stage, { flavour: drawn.flavour, database: restored });
  if (problem !== undefined) violations.push(`the restored database: ${problem}`);
  if (ending.status !== 0 && ending.status !== 130 && !silenced)
    violations.push(`it says that it failed, and the database is there: ${tail(ending.stderr)}`);
  await stage.ask(`drop database ${restored} with (force)`);
}

// One that could not be given its name, because somebody was in it, is kept on purpose and told with the command that names it.
async function inspectUnnamed(
  stage: Stage,
  { drawn, ending }: { readonly drawn: FaultCase; readonly ending: Ending },
  violations: string[],
): Promise<void> {
  const database = /is restored and whole, but still called '(\w+)'/.exec(ending.stderr)?.[1];
  if (database === undefined) return;
  const problem = await problemOf(stage, { flavour: drawn.flavour, database });
  if (problem !== undefined) violations.push(`the database that is said to be whole: ${problem}`);
  await stage.ask(`drop database if exists ${database} with (force)`);
}

async function problemOf(
  stage: Stage,
  { flavour, database }: { readonly flavour: FlavourName; readonly database: string },
): Promise<string | undefined> {
  return stage.judge(flavour).problemOfDatabase({
    PGHOST: '127.0.0.1',
    PGPORT: String(stage.server.port),
    PGUSER: 'postgres',
    PGDATABASE: database,
  });
}

/** Removes a stage's directory. */
export function removeHome(home: string): void {
  rmSync(home, { recursive: true, force: true });
}
