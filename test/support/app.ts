// The app in this process, for tests that bring their own clock or pauses.

import { createApp, type App } from '../../src/app/app.ts';
import type { AppOverrides } from '../../src/app/context.ts';
import { clockOf } from './clock-ahead.ts';

/** An app with exactly these variables; what it logs goes to `lines`, or where `write` puts it. */
export function openApp(
  environment: Readonly<Record<string, string>>,
  {
    lines = [],
    write = (text) => lines.push(text),
    ...overrides
  }: AppOverrides & { readonly lines?: string[]; readonly write?: (text: string) => unknown } = {},
): App {
  return createApp({
    environment: { PATH: process.env['PATH'], ...environment },
    uid: process.getuid?.() ?? 0,
    processId: process.pid,
    toolVersion: '0.0.0-test',
    isTerminal: false,
    program: 'bin/mastodon-backup',
    writeLog: (text) => void write(text),
    overrides: { now: clockOf(environment), ...overrides },
  });
}
