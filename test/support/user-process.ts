// What `startUser` starts: it runs the commands that it is sent, and ends with whoever sends them.

import { runCommand } from './command.ts';

interface Asked {
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

async function answer({ args, environment }: Asked): Promise<void> {
  process.send?.(await runCommand(args, environment));
}

process.on('message', (asked: Asked) => void answer(asked));
