// A data directory as `initdb` leaves it, made once a machine and copied for each server: that takes a twentieth of the time. Each
// copy gets a system identifier of its own, for this program tells servers apart by it.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** For glibc: `cp` takes a buffer for each of a thousand files, and would ask for its memory and give it back as often (mallopt(3)). */
const keptMemory = { MALLOC_MMAP_THRESHOLD_: '1000000000', MALLOC_TRIM_THRESHOLD_: '1000000000' };

/** What a data directory is made with. */
export interface ClusterOptions {
  readonly major: number;
  /** Where `bin/initdb` is. */
  readonly native: string;
  readonly auth: 'trust' | 'scram-sha-256';
  /** Of a segment of the log, in MiB; 16 where it is not given. */
  readonly segmentMegabytes?: 1 | 16;
  /** The superuser's. */
  readonly password: string;
  /** Who runs `initdb`; empty: whoever we are. */
  readonly user: { readonly uid?: number; readonly gid?: number };
  /** Gives a new file or directory to that user. */
  readonly own: (file: string) => void;
}

/** Makes the data directory `target`, whose parent belongs to the user already. Rejects when `initdb` fails. */
export async function createCluster(target: string, options: ClusterOptions): Promise<void> {
  const template = await findTemplate(options);
  await run('cp', ['-R', path.join(template, 'data'), target], {
    ...options.user,
    env: { PATH: process.env['PATH'], ...keptMemory },
  });
  giveIdentifier(target);
}

async function findTemplate(options: ClusterOptions): Promise<string> {
  const { major, native, auth, user, own, segmentMegabytes = 16 } = options;
  const built = statSync(path.join(native, 'bin/postgres')).size;
  const name = ['postgres-cluster', major, built, auth, segmentMegabytes, user.uid ?? process.getuid?.() ?? 0];
  const template = path.join(tmpdir(), name.join('-'));
  if (existsSync(template)) return template;
  const fresh = await mkdtemp(`${template}.`);
  own(fresh);
  const passwordFile = path.join(fresh, 'password');
  writeFileSync(passwordFile, `${options.password}\n`);
  own(passwordFile);
  const flags = [
    '-U',
    'postgres',
    '-E',
    'UTF8',
    '--locale=C',
    '--no-sync',
    `--auth=${auth}`,
    `--wal-segsize=${segmentMegabytes}`,
  ];
  await run(path.join(native, 'bin/initdb'), ['-D', path.join(fresh, 'data'), `--pwfile=${passwordFile}`, ...flags], {
    ...user,
    cwd: fresh,
    env: { PATH: process.env['PATH'], HOME: fresh, LC_ALL: 'C' },
  });
  for (const file of walSegments(path.join(fresh, 'data'))) makeHole(file);
  try {
    renameSync(fresh, template);
  } catch {
    // Another test process was faster.
    rmSync(fresh, { recursive: true, force: true });
  }
  return template;
}

// The identifier is in pg_control, whose last word is a CRC-32C of what stands before, and in the first page of the WAL.
function giveIdentifier(data: string): void {
  const fresh = randomBytes(8);
  // Positive, as a server's own.
  fresh.writeUInt8(fresh.readUInt8(7) & 0x7f, 7);
  const controlFile = path.join(data, 'global/pg_control');
  const control = readFileSync(controlFile);
  const former = Buffer.from(control.subarray(0, 8));
  const end = checksumOffset(control);
  fresh.copy(control);
  control.writeUInt32LE(crc32c(control.subarray(0, end)), end);
  writeFileSync(controlFile, control);
  for (const file of walSegments(data)) {
    const segment = openSync(file, 'r+');
    const page = Buffer.alloc(8);
    readSync(segment, page, 0, 8, 24);
    if (!page.equals(former)) throw new Error(`${file} does not begin with a page of this server`);
    writeSync(segment, fresh, 0, 8, 24);
    closeSync(segment);
  }
}

// Most of a segment is zeros, which cost nothing to copy where they are a hole.
function makeHole(file: string): void {
  const { size } = statSync(file);
  truncateSync(file, readFileSync(file).findLastIndex((byte) => byte !== 0) + 1);
  truncateSync(file, size);
}

function walSegments(data: string): readonly string[] {
  const wal = path.join(data, 'pg_wal');
  const names = readdirSync(wal).filter((name) => /^[0-9A-F]{24}$/.test(name));
  return names.map((name) => path.join(wal, name));
}

function checksumOffset(control: Buffer): number {
  let state = 0xffffffff;
  for (let at = 0; at + 4 <= control.length; at += 1) {
    if (at > 64 && (state ^ 0xffffffff) >>> 0 === control.readUInt32LE(at)) return at;
    state = step(state, control.readUInt8(at));
  }
  throw new Error('pg_control has no checksum');
}

function crc32c(bytes: Uint8Array): number {
  let state = 0xffffffff;
  for (const byte of bytes) state = step(state, byte);
  return (state ^ 0xffffffff) >>> 0;
}

// One byte of Castagnoli's polynomial, bit by bit: there are three hundred of them.
function step(state: number, byte: number): number {
  let next = (state ^ byte) >>> 0;
  for (let bit = 0; bit < 8; bit += 1) next = next & 1 ? (next >>> 1) ^ 0x82f63b78 : next >>> 1;
  return next >>> 0;
}
