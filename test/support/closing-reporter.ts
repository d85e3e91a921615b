// Node's spec reporter, but with its totals as the last lines, and before them the name and place of everything that failed:
// the spec reporter ends in the details of the last failure, of which a log that is cut shows a closing brace.

import path from 'node:path';
import { spec } from 'node:test/reporters';
import type { TestEvent } from 'node:test/reporters';

const totals = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) [\d.]+$/;

/** What `node --test --test-reporter=test/support/closing-reporter.ts` prints. */
export default async function* report(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const details = new spec();
  const closing = new spec();
  const failed: string[] = [];
  for await (const event of source) {
    if (event.type === 'test:fail') {
      const { name, file, line, column } = event.data;
      const { failureType } = event.data.details.error as { readonly failureType?: string };
      // A suite fails with its tests, which are named.
      if (failureType !== 'subtestsFailed') {
        const place = file === undefined ? '' : `${path.relative('', file)}:${line ?? 1}:${column ?? 1} `;
        failed.push(`✖ ${place}${name}\n`);
      }
    }
    if (event.type === 'test:diagnostic' && event.data.nesting === 0 && totals.test(event.data.message))
      closing.write(event);
    else details.write(event);
    yield* read(details);
  }
  details.end();
  for await (const chunk of details) yield String(chunk);
  if (failed.length > 0) yield `\nFailed:\n${failed.join('')}\n`;
  closing.end();
  for await (const chunk of closing) yield String(chunk);
}

function* read(stream: InstanceType<typeof spec>): Generator<string> {
  let chunk = stream.read() as Buffer | null;
  while (chunk !== null) {
    yield chunk.toString();
    chunk = stream.read() as Buffer | null;
  }
}
