// A test's server that is started again as it was, after a crash or a change of its files: on the same port, with the same settings.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { serverUser } from './postgres-server.ts';
import type { StockServer } from './stock-server.ts';
import { until } from './until.ts';

/** Kills the server, does the work while it is down, and starts it again in the directory that the work answers, or in its own. */
export async function restartServer(
  server: StockServer,
  {
    signal,
    whileDown,
  }: { readonly signal: 'SIGKILL' | 'SIGINT'; readonly whileDown?: () => Promise<string | undefined> },
): Promise<void> {
  const pid = Number.parseInt(readFileSync(path.join(server.data, 'postmaster.pid'), 'utf8'), 10);
  const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  process.kill(pid, signal);
  await until('the server to be down', { seconds: 15, look: async () => isDown(pid) });
  // Its processes go after it.
  await sleep(300);
  const directory = (await whileDown?.()) ?? server.data;
  const at = args.indexOf('-D') + 1;
  const child = spawn(program, args.with(at, directory), {
    ...serverUser,
    cwd: server.socketDirectory,
    stdio: 'ignore',
    env: { PATH: process.env['PATH'], HOME: server.socketDirectory, LC_ALL: 'C' },
  });
  process.once('exit', () => void child.kill('SIGQUIT'));
  await until('the server to answer', {
    seconds: 30,
    async look() {
      const rows = await server.query('select pg_is_in_recovery() as recovers').catch(() => []);
      return rows[0]?.['recovers'] === false;
    },
  });
}

/** Ends what `restartServer` has started; the server's own disposer knows nothing of it. */
export async function endRestarted(directory: string): Promise<void> {
  const pid = Number.parseInt(readFileSync(path.join(directory, 'postmaster.pid'), 'utf8'), 10);
  process.kill(pid, 'SIGQUIT');
  await until('the server to be down', { seconds: 15, look: async () => isDown(pid) });
}

function isDown(pid: number): boolean {
  try {
    // A zombie of ours is down too.
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}
