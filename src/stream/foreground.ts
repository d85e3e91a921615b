// A program that has the terminal to itself for a while: what is typed is for it, Ctrl-C included.

import { spawn } from 'node:child_process';

/** Runs it with our own streams, in our own process group, and answers its exit status; `signal` ends it. */
export async function runInForeground(
  file: string,
  {
    args,
    env,
    signal,
  }: { readonly args: readonly string[]; readonly env: Readonly<Record<string, string>>; readonly signal: AbortSignal },
): Promise<number> {
  signal.throwIfAborted();
  const child = spawn(file, [...args], { env: { ...env }, stdio: 'inherit' });
  const stop = (): void => void child.kill('SIGTERM');
  const killNow = (): void => void child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  process.once('exit', killNow);
  try {
    return await new Promise<number>((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    signal.removeEventListener('abort', stop);
    process.off('exit', killNow);
  }
}
