// Commands of somebody who is not root: one process of theirs runs one after the other, for to start each anew takes longer than
// most of what they do. Only root may start it.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { variablesOf, type CommandResult } from './command.ts';

const program = fileURLToPath(new URL('user-process.ts', import.meta.url));

/** Somebody who can type commands. */
export interface User extends Disposable {
  /** Runs a command to its end, with exactly these variables; one at a time. */
  run(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<CommandResult>;
}

/** Starts the process of whoever has this user id. */
export function startUser(uid: number): User {
  const child = fork(program, { uid, gid: uid, env: variablesOf(uid), execArgv: [] });
  return {
    async run(args, environment) {
      child.send({ args, environment });
      const ended = new AbortController();
      const giveUp = (): void => ended.abort(new Error('The process of the user has ended'));
      child.once('exit', giveUp);
      try {
        const [result] = (await once(child, 'message', { signal: ended.signal })) as [CommandResult];
        return result;
      } finally {
        child.off('exit', giveUp);
      }
    },
    [Symbol.dispose]: () => void child.kill(),
  };
}
