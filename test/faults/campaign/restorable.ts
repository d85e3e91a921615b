// Whether a stored dump restores, by stock tools alone: age, xz or zstd, and pg_restore. The source does not change while a
// campaign lasts, so every dump must come to the very same statements; those of the first were put into a database once, and
// that database dumped again. What was judged is remembered by its SHA-256.

import { spawn } from 'node:child_process';
import { buffer } from 'node:stream/consumers';
import { sha256Of } from './places.ts';

/** Judges dumps. */
export interface Restorability {
  /** Undefined: it restores. Else what is wrong with it. */
  problemOf(
    content: Buffer,
    dump: { readonly compression: string; readonly encryption: string | null },
  ): Promise<string | undefined>;
  /** Undefined: the database holds what the source does. */
  problemOfDatabase(environment: Readonly<Record<string, string>>): Promise<string | undefined>;
}

/** A judge for a source whose dump comes to these statements. */
export function createRestorability(options: {
  readonly programs: string;
  readonly identityFile: string;
  /** Of the statements, see `statementsOf`. */
  readonly expected: string;
}): Restorability {
  const { programs, identityFile, expected } = options;
  const good = new Set<string>();
  return {
    async problemOf(content, { compression, encryption }) {
      const sha256 = sha256Of(content);
      if (good.has(sha256)) return undefined;
      const steps = [
        ...(encryption === 'age' ? [`age -d -i '${identityFile}'`] : []),
        ...(compression === 'none' ? [] : [`${compression} -d -c`]),
        `'${programs}/pg_restore' -f -`,
      ];
      const { status, stdout, stderr } = await shell(steps.join(' | '), { input: content });
      if (status !== 0) return `stock tools end with ${status}: ${stderr.trim().slice(-300)}`;
      if (statementsOf(stdout) !== expected) return 'stock tools make other statements of it than of the source';
      good.add(sha256);
      return undefined;
    },
    async problemOfDatabase(environment) {
      const { status, stdout, stderr } = await shell(`'${programs}/pg_dump'`, { environment });
      if (status !== 0) return `it cannot be dumped: ${stderr.trim().slice(-300)}`;
      return statementsOf(stdout) === expected ? undefined : 'it does not hold what the source does';
    },
  };
}

/** What pg_restore or pg_dump print, without comments and what is random in it, as a SHA-256. */
export function statementsOf(script: string): string {
  const lines = script.split('\n').filter((line) => !/^(--|\\(un)?restrict |$)/.test(line));
  // A restore puts a long row where there is room, which is not always behind the row before it.
  return sha256Of(lines.toSorted().join('\n'));
}

/** Runs a command line to its end; a failure anywhere in a pipe is its failure. */
export async function shell(
  line: string,
  options: { readonly input?: Buffer; readonly environment?: Readonly<Record<string, string>> } = {},
): Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn('bash', ['-o', 'pipefail', '-c', line], {
    env: { PATH: process.env['PATH'], LC_ALL: 'C', ...options.environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const closed = new Promise<number | null>((resolve) => child.once('close', resolve));
  const [stdout, stderr] = await Promise.all([buffer(child.stdout), buffer(child.stderr)]);
  return { status: await closed, stdout: stdout.toString('utf8'), stderr: stderr.toString('utf8') };
}
