// What a person sees while a run goes on: a line that redraws itself on a terminal, else a log line every 30 s.

import type { Progress, ProgressListener } from '../backup/progress.ts';
import type { Log } from '../log.ts';
import { formatBytes, formatDuration } from '../text/format.ts';

/** Where progress goes. */
export interface ProgressOutput {
  readonly isTerminal: boolean;
  /** Writes to the terminal. */
  readonly write: (text: string) => void;
}

const redrawMs = 200;
const logMs = 30_000;
const barWidth = 24;
const eraseLine = '\r\u001B[K';

const verbs = { dump: 'Dumping', verify: 'Reading back', restore: 'Restoring' } as const;

/** Starts showing; its disposer takes the line away. */
export function showProgress(output: ProgressOutput, log: Log): Disposable & { readonly update: ProgressListener } {
  let latest: { readonly progress: Progress; readonly since: number } | undefined;
  const timer = setInterval(
    () => {
      if (latest === undefined) return;
      const text = describeProgress(latest.progress, { elapsedMs: performance.now() - latest.since });
      if (output.isTerminal) output.write(`${eraseLine}${text}`);
      else log.info({ ...latest.progress }, text);
    },
    output.isTerminal ? redrawMs : logMs,
  );
  timer.unref();
  return {
    update(progress) {
      const since = latest?.progress.step === progress.step ? latest.since : performance.now();
      latest = { progress, since };
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      if (output.isTerminal && latest !== undefined) output.write(eraseLine);
      latest = undefined;
    },
  };
}

/** One line: a bar, bytes, rate, and the time it will still take, estimated from the expected size. */
export function describeProgress(progress: Progress, { elapsedMs }: { readonly elapsedMs: number }): string {
  const { bytes, expectedBytes } = progress;
  const rate = elapsedMs > 0 ? (bytes / elapsedMs) * 1_000 : 0;
  const known = expectedBytes !== null && expectedBytes > 0 && bytes <= expectedBytes;
  const share = known ? bytes / expectedBytes : null;
  const filled = share === null ? 0 : Math.round(share * barWidth);
  const bar = share === null ? '' : ` [${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}]`;
  const left =
    share === null || rate === 0
      ? ''
      : `, about ${formatDuration(((expectedBytes ?? 0) - bytes) / (rate / 1_000))} left`;
  const verb = verbs[progress.step];
  return `${verb}${bar} ${formatBytes(bytes)}${known ? ` of about ${formatBytes(expectedBytes)}` : ''}, ${formatBytes(rate)}/s${left}`;
}
