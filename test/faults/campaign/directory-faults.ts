// Everything between the program and its directory: a disk that is full, read-only, gone, without links, slow, broken or silent.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Chance } from './chance.ts';
import type { DiskAction } from './disk-door.ts';
import type { Fault, Victim } from './fault.ts';
import type { Stage } from './stage.ts';

const callSets = [
  [
    'any call',
    ['link', 'rename', 'rm', 'stat', 'open', 'readdir', 'mkdir', 'readFile', 'write', 'writev', 'read', 'fsync'],
  ],
  ['writes', ['write', 'writev', 'fsync']],
  ['names', ['link', 'rename', 'rm', 'mkdir']],
  ['reads', ['read', 'readdir', 'stat', 'readFile', 'open']],
] as const;

/** Draws one. */
export function drawDirectoryFault(chance: Chance): Fault {
  return chance.weighted<() => Fault>([
    [3, () => full(chance)],
    [2, () => readOnly(chance)],
    [3, () => vanished(chance)],
    [2, withoutLinks],
    [6, () => refusing(chance)],
    [2, () => slow(chance)],
    [2, () => silent(chance)],
  ])();
}

const at = (share: number): string => `at ${Math.round(share * 100)} % of its time`;

function full(chance: Chance): Fault {
  const freeBytes = chance.one([0, 4_096, 8_192, 100_000, 400_000, 900_000, 4_000_000]);
  return {
    family: 'directory',
    kind: 'full',
    detail: `${freeBytes} bytes left on the disk`,
    spawns: false,
    wounds: 'local',
    async begin({ disk, diskDoor }) {
      // Without a disk of our own only its answer can be had.
      if (!disk.isMounted) return ruled(diskDoor, (call) => refuseWhen(call.startsWith('write'), 'ENOSPC'));
      const filler = disk.fill(freeBytes);
      return { [Symbol.asyncDispose]: async () => filler[Symbol.dispose]() };
    },
  };
}

function readOnly(chance: Chance): Fault {
  const share = chance.happens(0.4) ? 0 : chance.real();
  return {
    family: 'directory',
    kind: 'read-only',
    detail: `the disk becomes read-only ${at(share)}`,
    spawns: false,
    wounds: 'local',
    async begin({ disk, diskDoor }, victim) {
      const changing = /^(write|link|rename|rm|mkdir|fsync)/;
      if (!disk.isMounted) return ruled(diskDoor, (call) => refuseWhen(changing.test(call), 'EROFS'));
      let isDone = false;
      const protecting = (async () => {
        await elapsed(victim, share);
        while (!victim.over.aborted && !isDone) {
          isDone = disk.protect();
          if (!isDone) await sleep(20);
        }
      })();
      return {
        async [Symbol.asyncDispose]() {
          await protecting;
          if (isDone) disk.writable();
        },
      };
    },
  };
}

function vanished(chance: Chance): Fault {
  const how = chance.one(['unmounted', 'renamed'] as const);
  const share = chance.happens(0.3) ? 0 : chance.real();
  let instead: readonly string[] = [];
  return {
    family: 'directory',
    kind: 'vanished',
    detail: `the disk is ${how} ${at(share)}`,
    spawns: false,
    wounds: 'local',
    async begin({ disk }, victim) {
      const taking = (async () => {
        await elapsed(victim, share);
        if (!victim.over.aborted) disk.takeAway(how);
      })();
      return {
        async [Symbol.asyncDispose]() {
          await taking;
          instead = disk.bringBack();
        },
      };
    },
    violations: () => instead.map((name) => `where the disk was to be mounted there was ${name}`),
  };
}

function withoutLinks(): Fault {
  return {
    family: 'directory',
    kind: 'no links',
    detail: 'the disk knows no hard links',
    spawns: false,
    wounds: 'local',
    begin: async ({ diskDoor }) => ruled(diskDoor, (call) => refuseWhen(call === 'link', 'EPERM')),
  };
}

function refusing(chance: Chance): Fault {
  const code = chance.one(['EIO', 'ENOSPC', 'ESTALE', 'EDQUOT', 'EACCES', 'EROFS'] as const);
  const [name, calls] = chance.one(callSets);
  const first = chance.whole(1, 30);
  const isLasting = chance.happens(0.5);
  return {
    family: 'directory',
    kind: `answers ${code}`,
    detail: `${code} for ${name}, from number ${first}, ${isLasting ? 'from then on' : 'once'}`,
    spawns: false,
    wounds: 'local',
    async begin({ diskDoor }) {
      let count = 0;
      return ruled(diskDoor, (call) => {
        if (!calls.some((one) => one === call)) return { kind: 'pass' };
        count += 1;
        return refuseWhen(count === first || (isLasting && count > first), code);
      });
    },
  };
}

function slow(chance: Chance): Fault {
  const waitMs = chance.whole(1, 60);
  return {
    family: 'directory',
    kind: 'slow',
    detail: `each call of the disk takes ${waitMs} ms`,
    spawns: false,
    wounds: 'local',
    begin: async ({ diskDoor }) => ruled(diskDoor, () => ({ kind: 'delay', waitMs })),
  };
}

function silent(chance: Chance): Fault {
  const first = chance.whole(1, 25);
  return {
    family: 'directory',
    kind: 'silent',
    detail: `the disk answers nothing from call ${first} on`,
    spawns: false,
    wounds: 'local',
    interrupts: true,
    async begin({ diskDoor }, victim) {
      let count = 0;
      const rule = ruled(diskDoor, () => {
        count += 1;
        return { kind: count < first ? 'pass' : 'hang' };
      });
      const timer = setTimeout(() => {
        if (!victim.over.aborted) victim.interrupt();
      }, 6_000);
      return {
        async [Symbol.asyncDispose]() {
          clearTimeout(timer);
          await rule[Symbol.asyncDispose]();
        },
      };
    },
  };
}

function ruled(door: Stage['diskDoor'], decide: (call: string) => DiskAction): AsyncDisposable {
  door.rule(decide);
  return { [Symbol.asyncDispose]: async () => door.rule(() => ({ kind: 'pass' })) };
}

function refuseWhen(condition: boolean, code: (DiskAction & { readonly kind: 'refuse' })['code']): DiskAction {
  return condition ? { kind: 'refuse', code } : { kind: 'pass' };
}

async function elapsed(victim: Victim, share: number): Promise<void> {
  await sleep(share * victim.typicalMs, undefined, { signal: victim.over }).catch(() => undefined);
}
