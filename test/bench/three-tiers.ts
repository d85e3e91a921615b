// What the daemon does on a Sunday that is the first of a month: the daily backup, and the weekly and monthly one of it.

import { firstError } from '../../src/backup/first-error.ts';
import { openApp } from '../support/app.ts';

const environment = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
);
await using app = openApp(environment);
const signal = new AbortController().signal;
for (const tier of ['daily', 'weekly', 'monthly'] as const) {
  const report = await app.runScheduled({
    tier,
    slot: new Date(Date.now() - 60_000),
    signal,
    onProgress: () => undefined,
  });
  if (report === null) throw new Error(`There was a ${tier} backup already`);
  const error = firstError(report);
  if (error !== undefined) throw error;
}
