// One of the processes of test/run.ts: it takes the next file that no other has taken, until there is none. Each file is a suite, so
// that its hooks are its own.

import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, it } from 'node:test';

const [taken = '', ...files] = process.argv.slice(2);
const require = createRequire(import.meta.url);
let current = '';
// The runner says of an error that no test hears of neither in which file it was thrown nor where.
const unheard: unknown[] = [];
for (const event of ['uncaughtExceptionMonitor', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    unheard.push(error);
  });
}
const environment = { ...process.env };
for (const [index, file] of files.entries()) {
  if (!isTaken(index)) {
    current = path.relative('', file);
    const limit = setTimeout(() => giveUp(`${current} has not ended after ten minutes`), 600_000);
    await describe(current, () => {
      // Not by `import()`: what a file defines would not know behind an `await` in which suite it stands.
      try {
        require(file);
      } catch (error) {
        // The totals count tests, not suites.
        it('is loaded', () => {
          throw error;
        });
      }
    });
    clearTimeout(limit);
    const changed = Object.keys({ ...environment, ...process.env }).filter(
      (name) => process.env[name] !== environment[name],
    );
    const left = changed.map((name) => new Error(`The variable ${name} is another one than before`));
    for (const name of changed) delete process.env[name];
    Object.assign(process.env, environment);
    for (const error of [...unheard.splice(0), ...left]) {
      void it(`${current} leaves nothing to the next file, and throws nothing that no test hears of`, () => {
        throw error;
      });
    }
  }
}

// What a file has left open would keep this process, and whoever waits for it, for ever.
setTimeout(() => giveUp('A file has left something open'), 60_000).unref();

// The runner says that this process has failed.
function giveUp(why: string): never {
  console.error(`${why}: ${process.getActiveResourcesInfo().join(', ')}`);
  process.exit(1);
}

function isTaken(index: number): boolean {
  try {
    mkdirSync(path.join(taken, String(index)));
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return true;
    throw error;
  }
}
