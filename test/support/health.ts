// Health as a container's healthcheck asks for it: a process of its own, which knows nothing but the state directory.

import assert from 'node:assert/strict';
import type { Health } from '../../src/health/assess.ts';
import { openApp } from './app.ts';
import { runCommand } from './command.ts';
import { until } from './until.ts';

/** What `health --json` prints; its exit status must agree. */
export async function healthOf(environment: Readonly<Record<string, string>>): Promise<Health> {
  const { stdout, status } = await runCommand(['health', '--json'], environment);
  const health = JSON.parse(stdout) as Health;
  assert.equal(status, health.healthy ? 0 : 1);
  return health;
}

/**
 * Waits until `health --json` prints what is wanted. Between two processes an app of this one looks, which knows as little: a
 * process each time would keep a processor busy for as long as a test waits.
 */
export async function untilHealth(
  what: string,
  options: {
    readonly environment: Readonly<Record<string, string>>;
    readonly seconds: number;
    readonly wanted: (health: Health) => boolean;
  },
): Promise<Health> {
  const { environment, seconds, wanted } = options;
  return until(what, {
    seconds,
    look: async () => {
      await using app = openApp(environment);
      if (!wanted(await app.health())) return false;
      const health = await healthOf(environment);
      return wanted(health) && health;
    },
  });
}
