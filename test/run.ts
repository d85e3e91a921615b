// The tests, in a few processes that take one file after another: to load and warm up the program anew for each of two hundred files
// took a fourth of the processor's time. `node test/run.ts [PATTERN…]`; one file is run by `node --test FILE` just as well.

import { globSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { run } from 'node:test';
import { fileURLToPath } from 'node:url';
import report from './support/closing-reporter.ts';

// Four, also where there are fewer cores: a test waits half of its time.
const lanes = Math.max(4, os.availableParallelism());
const patterns = process.argv.length > 2 ? process.argv.slice(2) : ['test/**/*.test.ts'];

// The long ones first, so that none begins when the others are through.
const files = globSync(patterns)
  .map((file) => path.resolve(file))
  .toSorted((one, other) => statSync(other).size - statSync(one).size);
if (files.length === 0) throw new Error(`No file is called ${patterns.join(' or ')}`);
const taken = mkdtempSync(path.join(os.tmpdir(), 'test-lanes-'));
process.on('exit', () => rmSync(taken, { recursive: true, force: true }));
// Whoever takes a file has nothing to take it from then.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const lane = fileURLToPath(new URL('support/lane.ts', import.meta.url));
const events = run({
  files: Array.from({ length: Math.min(lanes, files.length) }, () => lane),
  concurrency: lanes,
  // Each limits its files; where it can do so no more, nobody waits longer than for all of them.
  timeout: 3_600_000,
  argv: [taken, ...files],
});
events.on('test:fail', () => {
  process.exitCode = 1;
});
events.compose(report).pipe(process.stdout);
