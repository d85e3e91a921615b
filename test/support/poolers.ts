// What stands between a client and PostgreSQL: PgBouncer itself, where it is installed, and a stand-in for the others, which
// all have in common that they say hello with a key of their own.

import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect as dial, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort, serverUser, type PostgresServer } from './postgres-server.ts';

/** Something that listens before a server. */
export interface Pooler extends AsyncDisposable {
  readonly port: number;
}

const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer', '/usr/local/bin/pgbouncer'].find((file) =>
  existsSync(file),
);

/** Why a test with PgBouncer is skipped; false: it is there. */
export const withoutPgBouncer = program === undefined ? 'pgbouncer is not installed' : false;

/** Starts PgBouncer as a distribution would set it up for a site, ready for our start-up parameters. */
export async function startPgBouncer(
  server: PostgresServer,
  { mode }: { readonly mode: 'transaction' | 'session' },
): Promise<Pooler> {
  const home = mkdtempSync(path.join(tmpdir(), 'pgbouncer-'));
  chmodSync(home, 0o755);
  const port = await freePort();
  const file = path.join(home, 'pgbouncer.ini');
  writeFileSync(
    file,
    `[databases]\n* = host=127.0.0.1 port=${server.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${port}\n` +
      `unix_socket_dir =\nauth_type = trust\nauth_file = ${home}/users\npool_mode = ${mode}\nignore_startup_parameters = extra_float_digits,options\n`,
  );
  writeFileSync(path.join(home, 'users'), '"mastodon" ""\n"postgres" ""\n');
  const child = spawn(program ?? '', [file], { ...serverUser, cwd: home, stdio: 'ignore' });
  const killNow = (): void => void child.kill('SIGKILL');
  process.once('exit', killNow);
  await listening(port);
  return {
    port,
    async [Symbol.asyncDispose]() {
      process.off('exit', killNow);
      const closed = new Promise((resolve) => child.once('close', resolve));
      if (child.exitCode === null) {
        child.kill('SIGQUIT');
        await closed;
      }
      rmSync(home, { recursive: true, force: true });
    },
  };
}

/** Starts a proxy that passes everything on, but for the key: it puts this process id into the server's hello. */
export async function startKeyChanger(server: PostgresServer, { processId }: { processId: number }): Promise<Pooler> {
  const proxy = createServer((socket) => {
    const upstream = dial(server.port, '127.0.0.1');
    let changed = false;
    upstream.on('data', (chunk: Buffer) => {
      // BackendKeyData: 'K', a length of 12, the process id, the secret.
      const at = changed ? -1 : chunk.indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
      if (at !== -1) {
        chunk.writeInt32BE(processId, at + 5);
        changed = true;
      }
      socket.write(chunk);
    });
    socket.on('data', (chunk) => upstream.write(chunk));
    for (const [one, other] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (proxy.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => proxy.close(resolve));
    },
  };
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const there = await new Promise<boolean>((resolve) => {
      const socket = dial(port, '127.0.0.1');
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (there) return;
    if (attempt > 100) throw new Error('PgBouncer does not listen');
    await sleep(50);
  }
}
