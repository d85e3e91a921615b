// The program, or a program it has started, is killed, stopped or told to end, at any moment of its work.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import { orderMischief, type ClientMischief } from './client-wrapper.ts';
import type { Fault, Operation, Victim } from './fault.ts';
import { childrenNamed } from './processes.ts';
import type { Stage } from './stage.ts';

/** Draws one. */
export function drawProcessFault(chance: Chance, operation: Operation): Fault {
  return chance.weighted<() => Fault>([
    [4, () => ofProgram('killed', chance)],
    [2, () => ofProgram('terminated', chance)],
    [2, () => atRequest('killed', chance)],
    [3, () => atRequest('terminated', chance)],
    [2, () => whileSilent(chance)],
    [3, () => ofChild(chance, operation)],
    [operation === 'run' ? 1 : 0, besideARival],
    [operation === 'run' || operation === 'restore' || operation === 'drill' ? 4 : 0, () => byOrder(chance, operation)],
  ])();
}

const percent = (share: number): string => `${Math.round(share * 100)} % of its time`;

function ofProgram(how: 'killed' | 'terminated', chance: Chance): Fault {
  const share = chance.real() * 1.1;
  const spawns = how === 'killed' || chance.happens(0.3);
  return {
    family: 'process',
    kind: how,
    detail: `${how} after ${percent(share)}`,
    spawns,
    ...(how === 'killed' ? { silences: true } : { interrupts: true }),
    begin: async (_stage, victim) =>
      later(victim, { waitMs: share * victim.typicalMs, strike: () => strike(how, victim) }),
  };
}

// Between two requests to the store: before the one with this number is passed on, or when it has been answered.
function atRequest(how: 'killed' | 'terminated', chance: Chance): Fault {
  const number = chance.whole(1, 30);
  const passes = chance.happens(0.5);
  return {
    family: 'process',
    kind: `${how} at a request`,
    detail: `${how} at request ${number} to the bucket, which ${passes ? 'is done' : 'never comes through'}`,
    spawns: how === 'killed',
    ...(how === 'killed' ? { silences: true } : { interrupts: true }),
    async begin({ s3 }, victim) {
      let count = 0;
      s3.rule(() => {
        count += 1;
        if (count !== number) return { kind: 'pass' };
        strike(how, victim);
        return passes ? { kind: 'pass' } : { kind: 'drop' };
      });
      return passAgain(s3);
    },
  };
}

// A signal must be obeyed also by what waits for somebody who says nothing.
function whileSilent(chance: Chance): Fault {
  const number = chance.whole(1, 15);
  const waitMs = chance.whole(0, 800);
  const spawns = chance.happens(0.3);
  return {
    family: 'process',
    kind: 'terminated in silence',
    detail: `terminated ${waitMs} ms after the bucket went silent at request ${number}`,
    spawns,
    interrupts: true,
    wounds: 's3',
    async begin({ s3 }, victim) {
      let count = 0;
      s3.rule(() => {
        count += 1;
        if (count === number) setTimeout(() => strike('terminated', victim), waitMs).unref();
        return { kind: count < number ? 'pass' : 'hang' };
      });
      return passAgain(s3);
    },
  };
}

// Somebody starts another run by hand while one is storing its dump.
function besideARival(): Fault {
  const wrong: string[] = [];
  return {
    family: 'process',
    kind: 'a rival',
    detail: 'another run is started while the dump is being stored',
    spawns: false,
    violations: () => wrong,
    async begin({ s3 }, victim) {
      let rival: Promise<unknown> | undefined;
      const challenge = async (): Promise<void> => {
        const { status, stderr } = await victim.rival();
        if (status !== 3)
          wrong.push(`another run ended with ${status} while this one held the lock: ${stderr.slice(-300)}`);
      };
      s3.rule(({ method, path: key }) => {
        if (method !== 'PUT' || !key.includes('.dump') || rival !== undefined) return { kind: 'pass' };
        rival = challenge();
        return { kind: 'trickle', chunkBytes: 16_000, pauseMs: 40 };
      });
      return {
        async [Symbol.asyncDispose]() {
          await rival;
          await passAgain(s3)[Symbol.asyncDispose]();
        },
      };
    },
  };
}

const childrenOf: Readonly<Partial<Record<Operation, readonly string[]>>> = {
  run: ['pg_dump'],
  restore: ['pg_restore'],
  drill: ['postgres', 'pg_restore', 'initdb'],
};

function ofChild(chance: Chance, operation: Operation): Fault {
  const name = chance.one(childrenOf[operation] ?? ['pg_dump']);
  const signal = chance.weighted([
    [4, 'SIGKILL'],
    [2, 'SIGTERM'],
    [2, 'SIGSTOP'],
    [1, 'SIGINT'],
  ] as const);
  const share = chance.real() ** 2;
  return {
    family: 'process',
    kind: `${name} gets ${signal}`,
    detail: `${name} gets ${signal} ${percent(share)} after it began`,
    spawns: false,
    async begin(_stage, victim) {
      const struck: number[] = [];
      // The stage's own servers are children of this process too.
      const before = childrenNamed(name);
      const watching = (async () => {
        while (!victim.over.aborted) {
          const child = childrenNamed(name).find((id) => !before.includes(id));
          if (child === undefined) {
            await sleep(5);
            continue;
          }
          await sleep(share * victim.typicalMs * 0.5);
          if (tryKill(child, signal)) struck.push(child);
          return;
        }
      })();
      return {
        async [Symbol.asyncDispose]() {
          await watching;
          for (const child of struck) tryKill(child, 'SIGCONT');
        },
      };
    },
  };
}

function byOrder(chance: Chance, operation: Operation): Fault {
  const program = operation === 'run' ? 'pg_dump' : 'pg_restore';
  const how = chance.one<ClientMischief['how']>([
    'killed',
    'terminated',
    'fails',
    'hangs',
    'ends early, saying all is well',
    'fails after all of it',
    'is killed after all of it',
    'does nothing, saying all is well',
  ]);
  const afterBytes = chance.happens(0.2) ? chance.whole(0, 64) : chance.whole(64, 250_000);
  const isLate = how.includes('all of it') || how.includes('nothing');
  return {
    family: 'process',
    kind: `${program} ${how}`,
    detail: `${program} ${how}${isLate ? '' : ` after ${afterBytes} bytes`}`,
    spawns: false,
    ...(operation === 'run' && how !== 'hangs' ? { spoils: true } : {}),
    begin: async ({ programs }) => orderMischief(programs, { program, how, afterBytes }),
  };
}

function strike(how: 'killed' | 'terminated', victim: Victim): void {
  if (victim.over.aborted) return;
  if (how === 'killed') victim.kill();
  else victim.interrupt();
}

/** Does something after a while, unless the operation is over by then. */
export function later(
  victim: Victim,
  { waitMs, strike: hit }: { readonly waitMs: number; readonly strike: () => void },
): AsyncDisposable {
  const timer = setTimeout(() => {
    if (!victim.over.aborted) hit();
  }, waitMs);
  return { [Symbol.asyncDispose]: async () => clearTimeout(timer) };
}

function passAgain(s3: Stage['s3']): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => s3.rule(() => ({ kind: 'pass' })) };
}

function tryKill(processId: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(processId, signal);
    return true;
  } catch {
    return false;
  }
}
