// A door between this process and a directory, as the S3 server has one: the file system calls of the app that runs here can be
// refused, delayed or never answered, which no mounted file system does at the moment one wants. Linux knows no other way to a
// disk without hard links that works everywhere.

import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** What the door does with a call. One that hangs is answered when the rule changes, as that of a disk that comes back. */
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

/** Opens the door to `directory` in this process; it stays open. */
export function openDiskDoor(directory: string): DiskDoor {
  let decide: (call: string) => DiskAction = () => ({ kind: 'pass' });
  let changed = Promise.withResolvers<void>();
  const descriptors = new Set<number>();
  const concerns = (target: unknown): boolean =>
    typeof target === 'string' && (target === directory || target.startsWith(`${directory}${path.sep}`));

  const promised = fs.promises as unknown as Record<string, Call>;
  for (const name of byPath) {
    const real = promised[name] as (...args: readonly unknown[]) => Promise<unknown>;
    promised[name] = async (...args) => {
      if (concerns(args[0])) await pass(name, { action: decide(name), changed: changed.promise });
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
      admit(name, { action, callback: callback as Callback, go: () => void real.apply(fs, [...args]) });
      return undefined;
    };
  }
  syncBuiltinESMExports();

  function admit(
    name: string,
    { action, callback, go }: { readonly action: DiskAction; readonly callback: Callback; readonly go: () => void },
  ): void {
    pass(name, { action, changed: changed.promise }).then(go, (error: unknown) => callback(error as Error));
  }

  return {
    rule(next) {
      decide = next;
      changed.resolve();
      changed = Promise.withResolvers();
    },
  };
}

// What only looks is done late, and what changes something fails: what it does so late would be done to what comes after it.
const looking = new Set<string>(['open', 'stat', 'readdir', 'readFile', 'read']);

async function pass(
  call: string,
  { action, changed }: { readonly action: DiskAction; readonly changed: Promise<void> },
): Promise<void> {
  if (action.kind === 'delay') await sleep(action.waitMs);
  if (action.kind === 'hang') await changed;
  const code = action.kind === 'refuse' ? action.code : action.kind === 'hang' && !looking.has(call) ? 'EIO' : null;
  if (code !== null) throw Object.assign(new Error(`${code}: said the door, ${call}`), { code, syscall: call });
}
