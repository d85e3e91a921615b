// A shell that has stock tools and nothing else: neither Node nor this program is on its search path. What the documentation and
// the recovery kit tell people to type is run in it.

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { outputOf } from './output.ts';

/** What a fresh Debian has, what the kit says to install, and PostgreSQL's clients. */
const plainTools =
  'sh env cat cp date sleep ls find grep sed sort cut head tail sha256sum mkdir mktemp od rm wc tr tar mv rm age age-keygen ssh-keygen xz zstd curl rclone'.split(
    ' ',
  );
const postgresTools = ['psql', 'createdb', 'createuser', 'pg_restore', 'vacuumdb'];

/** A command block as a text shows it: what stands before it, and its lines. */
export interface CommandBlock {
  readonly heading: string;
  readonly label: string;
  readonly lines: readonly string[];
}

/** A shell with stock tools. */
export interface StockShell {
  /** Where it begins; empty but for what a test puts there. */
  readonly directory: string;
  /** Whether there is such a tool on this machine. */
  has(tool: string): boolean;
  /**
   * Runs the lines as somebody would who pastes them; stops at the first that fails. What the kit's `echo ok` prints is taken off;
   * a block that does not print it has failed, and then the status is not 0.
   */
  run(lines: readonly string[], environment: Readonly<Record<string, string>>): Promise<StockResult>;
  /** What was asked of `docker`. */
  dockerCalls(): readonly string[];
}

/** How the lines ended. */
export interface StockResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Makes the shell below `parent`. Its `docker compose exec` runs a client on this machine; `docker` does nothing else. */
export function createStockShell(parent: string): StockShell {
  const bin = path.join(parent, 'stock-bin');
  const directory = path.join(parent, 'recovery');
  const dockerLog = path.join(parent, 'docker.log');
  mkdirSync(bin, { recursive: true });
  mkdirSync(directory, { recursive: true });
  for (const tool of plainTools) link(bin, { tool, file: find(tool) });
  for (const tool of postgresTools) link(bin, { tool, file: findPostgres(tool) });
  // Often a script that needs an interpreter found by the search path: it alone gets ours.
  if (find('aws') !== undefined) {
    script(path.join(bin, 'aws'), `PATH='${process.env['PATH'] ?? ''}' exec aws "$@"`);
  }
  script(
    path.join(bin, 'docker'),
    `echo "$@" >> '${dockerLog}'\n[ "$1 $2 $3" = 'compose exec -T' ] || exit 0\nshift 3\n[ "$1" = -e ] && { export "$2"; shift 2; }\nshift\nexec "$@"`,
  );
  return {
    directory,
    has: (tool) => existsSync(path.join(bin, tool)),
    async run(lines, environment) {
      const typed = lines.map(sayOk);
      // Not spawnSync: the bucket may be a server in this very process.
      const child = spawn('/bin/sh', ['-eu', '-c', typed.join('\n')], {
        cwd: directory,
        env: { PATH: bin, HOME: directory, LC_ALL: 'C.UTF-8', ...environment },
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: 120_000,
      });
      const result = await outputOf(child);
      const said = result.stdout.split(`${okMark}\n`);
      const isWell = said.length - 1 === lines.filter((line) => line.endsWith(sayingOk)).length;
      return { ...result, stdout: said.join(''), status: isWell || result.status !== 0 ? result.status : 1 };
    },
    dockerCalls: () => (existsSync(dockerLog) ? readFileSync(dockerLog, 'utf8').trimEnd().split('\n') : []),
  };
}

// Nothing that is restored says this.
const okMark = 'ok, says the kit';
const sayingOk = ' && echo ok';

function sayOk(line: string): string {
  return line.endsWith(sayingOk) ? `${line.slice(0, -sayingOk.length)} && echo '${okMark}'` : line;
}

/** Runs OpenSSH's own tool for keys and signatures, and answers what it prints; throws when it fails. */
export function sshKeygen(args: readonly string[], input: string | Uint8Array = ''): string {
  return execFileSync('ssh-keygen', args, { encoding: 'utf8', input, stdio: ['pipe', 'pipe', 'pipe'] });
}

/** The command blocks of a recovery kit's text: what is indented by four spaces. */
export function commandBlocks(text: string): readonly CommandBlock[] {
  const blocks: { heading: string; label: string; lines: string[] }[] = [];
  const lines = text.split('\n');
  let heading = '';
  for (const [index, line] of lines.entries()) {
    const before = lines[index - 1] ?? '';
    if (/^-+$/.test(line)) heading = before;
    if (!line.startsWith('    ')) continue;
    if (!before.startsWith('    ')) blocks.push({ heading, label: before, lines: [] });
    blocks.at(-1)?.lines.push(line.slice(4));
  }
  return blocks;
}

function link(bin: string, { tool, file }: { readonly tool: string; readonly file: string | undefined }): void {
  const target = path.join(bin, tool);
  if (file !== undefined && !existsSync(target)) symlinkSync(file, target);
}

function script(file: string, body: string): void {
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

function find(tool: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(':')
    .map((folder) => path.join(folder, tool))
    .find((file) => existsSync(file));
}

// Debian's /usr/bin/psql is a Perl script that looks for clusters of this machine.
function findPostgres(tool: string): string | undefined {
  const debian = '/usr/lib/postgresql';
  const majors = existsSync(debian) ? readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : [];
  return majors.map((major) => path.join(debian, major, 'bin', tool)).find((file) => existsSync(file)) ?? find(tool);
}
