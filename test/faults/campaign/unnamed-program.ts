// A program that does one of the daemon's operations once and ends, so that it can be killed at any moment of it. It takes
// signals and ends as main.ts does.

import { AppError, exitStatusOf } from '../../../src/errors.ts';
import { openApp } from '../../support/app.ts';
import { lastWords } from './attempt.ts';
import { performUnnamed } from './unnamed-operations.ts';

const stop = new AbortController();
process.on('SIGTERM', () => {
  const hint = 'Nothing half-written counts as a backup; run it again.';
  stop.abort(new AppError('interrupted', 'Interrupted by SIGTERM', { hint }));
});
const environment = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
);
const app = openApp(environment);
let status = 0;
try {
  const operation = process.argv[2] === 'mend' ? 'mend' : 'copy';
  const context = { app, signal: stop.signal, write: (text: string) => void process.stdout.write(text) };
  await performUnnamed(operation, context);
} catch (error) {
  status = exitStatusOf(error);
  process.stderr.write(lastWords(error));
} finally {
  await app[Symbol.asyncDispose]();
}
process.exit(status);
