// PostgreSQL's clients as the program finds them, which can be told to die, fail, hang or lie at an exact byte. Told nothing, they
// are the real ones.

import { chmodSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** How a client misbehaves. */
export interface ClientMischief {
  readonly program: 'pg_dump' | 'pg_restore';
  readonly how:
    | 'killed'
    | 'terminated'
    | 'fails'
    | 'hangs'
    | 'ends early, saying all is well'
    | 'fails after all of it'
    | 'is killed after all of it'
    | 'does nothing, saying all is well';
  readonly afterBytes: number;
}

const orderFile = (directory: string, program: string): string => path.join(directory, `${program}.order`);

const scripts: Readonly<Record<ClientMischief['program'], Readonly<Record<ClientMischief['how'], string>>>> = {
  pg_dump: {
    killed: '"$real" "$@" | head -c "$bytes"; kill -KILL $$',
    terminated: '"$real" "$@" | head -c "$bytes"; kill -TERM $$',
    fails: '"$real" "$@" | head -c "$bytes"; echo "pg_dump: error: said the campaign" >&2; exit 1',
    hangs: '"$real" "$@" | head -c "$bytes"; exec sleep 30',
    'ends early, saying all is well': '"$real" "$@" | head -c "$bytes"; exit 0',
    'fails after all of it': '"$real" "$@"; echo "pg_dump: error: said the campaign" >&2; exit 1',
    'is killed after all of it': '"$real" "$@"; kill -KILL $$',
    'does nothing, saying all is well': 'exit 0',
  },
  pg_restore: {
    killed: 'head -c "$bytes" > /dev/null; kill -KILL $$',
    terminated: 'head -c "$bytes" > /dev/null; kill -TERM $$',
    fails: 'head -c "$bytes" > /dev/null; echo "pg_restore: error: said the campaign" >&2; exit 1',
    hangs: 'head -c "$bytes" > /dev/null; exec sleep 30',
    'ends early, saying all is well': 'head -c "$bytes" | "$real" "$@" 2> /dev/null; exit 0',
    'fails after all of it': '"$real" "$@"; echo "pg_restore: error: said the campaign" >&2; exit 1',
    'is killed after all of it': '"$real" "$@"; kill -KILL $$',
    'does nothing, saying all is well': 'cat > /dev/null; exit 0',
  },
};

/** Makes `directory` with the clients, which obey, and links to the other programs of `stock`. */
export function wrapClients(directory: string, stock: string): string {
  mkdirSync(directory, { recursive: true });
  for (const name of readdirSync(stock)) {
    const file = path.join(directory, name);
    if (name !== 'pg_dump' && name !== 'pg_restore') {
      symlinkSync(path.join(stock, name), file);
      continue;
    }
    // `--list` only looks at the archive; the order is for the client that does the work.
    const script = [
      '#!/bin/bash',
      `real='${path.join(stock, name)}'`,
      `case " $* " in *" --version "*|*" --list "*|*" -l "*) exec "$real" "$@" ;; esac`,
      `[ -f '${orderFile(directory, name)}' ] || exec "$real" "$@"`,
      `. '${orderFile(directory, name)}'`,
    ];
    writeFileSync(file, `${script.join('\n')}\n`);
    chmodSync(file, 0o755);
  }
  return directory;
}

/** Has a client misbehave; the disposer has it behave again. */
export function orderMischief(directory: string, { program, how, afterBytes }: ClientMischief): AsyncDisposable {
  const file = orderFile(directory, program);
  writeFileSync(file, `bytes=${afterBytes}\n${scripts[program][how]}\n`);
  return { [Symbol.asyncDispose]: async () => rmSync(file, { force: true }) };
}
