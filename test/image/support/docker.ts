// Runs docker as a person does.

import { spawn } from 'node:child_process';
import { outputOf, type ChildOutput } from '../../support/output.ts';

/** Runs `docker` with these arguments, whatever it answers. */
export async function docker(
  args: readonly string[],
  { cwd, input }: { readonly cwd?: string; readonly input?: string } = {},
): Promise<ChildOutput> {
  const child = spawn('docker', [...args], { cwd, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
  child.stdin?.end(input);
  return outputOf(child);
}

/** Runs it and answers its stdout. Throws when it fails. */
export async function dockerOutput(
  args: readonly string[],
  options: { readonly cwd?: string; readonly input?: string } = {},
): Promise<string> {
  const { status, stdout, stderr } = await docker(args, options);
  if (status !== 0) throw new Error(`docker ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
  return stdout;
}

/** Asks again and again until `ask` answers something, at most so long. */
export async function until<Result>(
  what: string,
  { withinMs, ask }: { readonly withinMs: number; readonly ask: () => Promise<Result | undefined | false> },
): Promise<Result> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`Not within ${withinMs / 1_000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
