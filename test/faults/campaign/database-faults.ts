// Everything between the program and PostgreSQL: sessions that are ended, a server that crashes and starts again, backends that
// stand still, and a line that is refused, reset or silent. And what is not enough: memory, and the right time.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import type { Fault, Operation, Victim } from './fault.ts';
import { nothingToEnd } from './fault.ts';
import type { Stage } from './stage.ts';

const ours = "application_name like 'mastodon-backup%'";

/** Draws one. */
export function drawDatabaseFault(chance: Chance): Fault {
  return chance.weighted<() => Fault>([
    [4, () => sessions(chance, 'cut')],
    [2, () => sessions(chance, 'stalled')],
    [2, () => sessions(chance, 'crash')],
    [2, () => ofLine(chance, 'refusing')],
    [2, () => ofLine(chance, 'reset')],
    [2, () => ofLine(chance, 'silent')],
  ])();
}

function sessions(chance: Chance, kind: 'cut' | 'stalled' | 'crash'): Fault {
  const share = chance.real();
  const isAll = kind === 'crash' || chance.happens(0.5);
  const what = {
    cut: isAll ? 'all sessions are ended' : 'one session is ended',
    stalled: isAll ? 'all backends stand still' : 'one backend stands still',
    crash: 'a backend is killed and the server starts anew',
  }[kind];
  const pick = chance.real();
  return {
    family: 'database',
    kind,
    detail: `${what} at ${Math.round(share * 100)} % of its time`,
    spawns: false,
    async begin(stage, victim) {
      const stopped: number[] = [];
      const striking = (async () => {
        await elapsed(victim, share);
        const found = await someSessions(stage, victim);
        const chosen = isAll && kind !== 'crash' ? found : found.slice(Math.floor(pick * found.length)).slice(0, 1);
        for (const pid of chosen) {
          if (kind === 'cut') await stage.ask(`select pg_terminate_backend(${pid})`);
          else if (signalBackend(pid, kind === 'crash' ? 'SIGKILL' : 'SIGSTOP') && kind === 'stalled')
            stopped.push(pid);
        }
      })();
      // Left standing for longer than anybody should wait, they would only slow the campaign down.
      const wake = (): void => {
        for (const pid of stopped.splice(0)) signalBackend(pid, 'SIGCONT');
      };
      const timer = setTimeout(wake, 20_000);
      return {
        async [Symbol.asyncDispose]() {
          clearTimeout(timer);
          await striking;
          wake();
        },
      };
    },
  };
}

function ofLine(chance: Chance, kind: 'refusing' | 'reset' | 'silent'): Fault {
  const share = chance.real();
  // Who clears away bears with a server that is away for five seconds; what stays after longer goes with the next restore.
  const forMs = chance.one([100, 1_000, 3_000]);
  return {
    family: 'database',
    kind: `line ${kind}`,
    detail: `the line is ${kind} at ${Math.round(share * 100)} % of its time, for ${forMs} ms`,
    spawns: false,
    async begin({ line }, victim) {
      const striking = (async () => {
        await elapsed(victim, share);
        if (victim.over.aborted) return;
        if (kind === 'reset') {
          line.reset();
          return;
        }
        line.set(kind);
        await sleep(forMs, undefined, { signal: victim.over }).catch(() => undefined);
        line.set('open');
      })();
      return {
        async [Symbol.asyncDispose]() {
          await striking;
        },
      };
    },
  };
}

/** Draws too little memory, by the settings or for the process. */
export function drawMemoryFault(chance: Chance, operation: Operation): Fault {
  if (operation === 'run' && chance.happens(0.5)) {
    const limit = chance.one(['1MiB', '8MiB', '24MiB', '48MiB', '100MiB', '200MiB']);
    return {
      family: 'memory',
      kind: 'small limit',
      detail: `BACKUP_MEMORY_LIMIT=${limit}`,
      spawns: false,
      settings: { BACKUP_MEMORY_LIMIT: limit },
      begin: async () => nothingToEnd,
    };
  }
  const heapMiB = chance.whole(16, 40);
  return {
    family: 'memory',
    kind: 'heap exhausted',
    detail: `a heap of ${heapMiB} MiB`,
    spawns: true,
    silences: true,
    settings: { NODE_OPTIONS: `--max-old-space-size=${heapMiB}` },
    begin: async () => nothingToEnd,
  };
}

/** Draws a clock that is wrong: ours, or the bucket's. */
export function drawClockFault(chance: Chance): Fault {
  const skewMs =
    chance.one([-1, 1]) * chance.one([60_000, 4 * 60_000, 6 * 60_000, 3_600_000, 26 * 3_600_000, 400 * 86_400_000]);
  const whose = chance.one(['ours', "the bucket's"]);
  const hours = (skewMs / 3_600_000).toFixed(2);
  return {
    family: 'clock',
    kind: whose === 'ours' ? 'our clock is wrong' : "the bucket's clock is wrong",
    detail: `${whose === 'ours' ? 'our' : whose} clock is ${hours} h off`,
    spawns: false,
    partsClocks: Math.abs(skewMs) > 5 * 60_000,
    ...(whose === 'ours' ? { skewMs } : {}),
    async begin({ s3 }) {
      if (whose === 'ours') return nothingToEnd;
      s3.rule(() => ({ kind: 'headers', headers: { date: new Date(Date.now() + skewMs).toUTCString() } }));
      return { [Symbol.asyncDispose]: async () => s3.rule(() => ({ kind: 'pass' })) };
    },
  };
}

// The one that is drawn may be too early or too late for any session.
async function someSessions(stage: Stage, victim: Victim): Promise<readonly number[]> {
  while (!victim.over.aborted) {
    const rows = await stage.ask(`select pid from pg_stat_activity where ${ours} order by pid`);
    if (rows.length > 0) return rows.map(({ pid }) => Number(pid));
    await sleep(10);
  }
  return [];
}

function signalBackend(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

async function elapsed(victim: Victim, share: number): Promise<void> {
  await sleep(share * victim.typicalMs, undefined, { signal: victim.over }).catch(() => undefined);
}
