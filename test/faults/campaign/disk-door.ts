// A door between this process and a directory, as the S3 server has one: the file system calls of the app that runs here can be
// refused, delayed or never answered, which no mounted file system does at the moment one wants. Linux knows no other way to a
// disk without hard links that works everywhere.

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What the door does with a call. */
export type DiskAction =
  | { readonly kind: 'pass' | 'hang' }
  | { readonly kind: 'refuse'; readonly code: 'EPERM' | 'EIO' | 'ENOSPC' | 'EROFS' | 'ESTALE' | 'EDQUOT' | 'EACCES' }
  | { readonly kind: 'delay'; readonly waitMs: number };

/** The door. */
export interface DiskDoor {
  /** Sets the rule for the calls that concern the directory; the default passes everything. */
  rule(decide: (call: string) => DiskAction): void;
}

const byPath = ['link', 'rename', 'rm', 'stat', 'open', 'readdir', 'mkdir', 'readFile'] as const;
const byDescriptor = ['write', 'writev', 'read', 'fsync'] as const;
type Callback = (error: Error | null, ...results: readonly unknown[]) => void;
type Call = (...args: readonly unknown[]) => unknown;

/** Files with a call that is never answered: nobody can close them. */
export const stuckDescriptors = new Set<number>();

/** Opens the door to `directory` in this process; it stays open. */
export function openDiskDoor(directory: string): DiskDoor {
  let decide: (call: string) => DiskAction = () => ({ kind: 'pass' });
  const descriptors = new Set<number>();
  const concerns = (target: unknown): boolean =>
    typeof target === 'string' && (target === directory || target.startsWith(`${directory}${path.sep}`));

  const promised = fs.promises as unknown as Record<string, Call>;
  for (const name of byPath) {
    const real = promised[name] as (...args: readonly unknown[]) => Promise<unknown>;
    promised[name] = async (...args) => {
      if (concerns(args[0])) await pass(name, decide(name));
      return real.apply(fs.promises, [...args]);
    };
  }
  // Streams open, write, read and sync by callbacks.
  const plain = fs as unknown as Record<string, Call>;
  const open = plain['open'] as Call;
  plain['open'] = (...args) => {
    const callback = args.at(-1) as Callback;
    if (!concerns(args[0])) return open.apply(fs, [...args]);
    const opened: Callback = (error, descriptor) => {
      if (typeof descriptor === 'number') descriptors.add(descriptor);
      callback(error, descriptor);
    };
    admit('open', { action: decide('open'), callback, go: () => void open.apply(fs, [...args.slice(0, -1), opened]) });
    return undefined;
  };
  const close = plain['close'] as Call;
  plain['close'] = (...args) => {
    descriptors.delete(args[0] as number);
    return close.apply(fs, [...args]);
  };
  for (const name of byDescriptor) {
    const real = plain[name] as Call;
    plain[name] = (...args) => {
      const callback = args.at(-1);
      if (!descriptors.has(args[0] as number) || typeof callback !== 'function') return real.apply(fs, [...args]);
      const action = decide(name);
      if (action.kind === 'hang') stuckDescriptors.add(args[0] as number);
      admit(name, { action, callback: callback as Callback, go: () => void real.apply(fs, [...args]) });
      return undefined;
    };
  }
  syncBuiltinESMExports();

  function admit(
    name: string,
    { action, callback, go }: { readonly action: DiskAction; readonly callback: Callback; readonly go: () => void },
  ): void {
    pass(name, action).then(go, (error: unknown) => callback(error as Error));
  }

  return {
    rule(next) {
      decide = next;
    },
  };
}

async function pass(call: string, action: DiskAction): Promise<void> {
  if (action.kind === 'delay') await sleep(action.waitMs);
  if (action.kind === 'hang') await new Promise<never>(() => undefined);
  if (action.kind === 'refuse')
    throw Object.assign(new Error(`${action.code}: said the door, ${call}`), { code: action.code, syscall: call });
}
