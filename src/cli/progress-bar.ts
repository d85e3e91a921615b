// What a person sees while a run goes on: a line that redraws itself on a terminal, else a log line every 30 s.

import type { Progress, ProgressListener } from '../backup/progress.ts';
import type { Log } from '../log.ts';
import { formatBytes, formatDuration } from '../text/format.ts';

/** Where progress goes. */
export interface ProgressOutput {
  readonly isTerminal: boolean;
  /** The terminal's width in characters, now. */
  readonly columns: () => number;
  /** Writes to the terminal. */
  readonly write: (text: string) => void;
}

const redrawMs = 200;
const logMs = 30_000;
const barWidth = 24;
const shortestBar = 4;
/** Takes the line away that the cursor is on; what is written to the same terminal begins with it. */
export const eraseLine = '\r\u001B[K';

const verbs = { dump: 'Dumping', verify: 'Reading back', restore: 'Restoring' } as const;

/** Starts showing; its disposer takes the line away. */
export function showProgress(output: ProgressOutput, log: Log): Disposable & { readonly update: ProgressListener } {
  let latest: { readonly progress: Progress; readonly since: number } | undefined;
  const timer = setInterval(
    () => {
      if (latest === undefined) return;
      const elapsedMs = performance.now() - latest.since;
      // A line that fills the last column has begun the next one, which nothing would take away again.
      const columns = output.isTerminal ? output.columns() - 1 : Number.POSITIVE_INFINITY;
      const text = describeProgress(latest.progress, { elapsedMs, columns });
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

/**
 * One line of at most `columns` characters: bytes, rate, the time it will still take, estimated from the expected size, and
 * a bar where there is room for it.
 */
export function describeProgress(
  progress: Progress,
  { elapsedMs, columns }: { readonly elapsedMs: number; readonly columns: number },
): string {
  const { bytes, expectedBytes } = progress;
  const rate = elapsedMs > 0 ? (bytes / elapsedMs) * 1_000 : 0;
  const known = expectedBytes !== null && expectedBytes > 0 && bytes <= expectedBytes;
  const share = known ? bytes / expectedBytes : null;
  const left =
    share === null || rate === 0
      ? ''
      : `, about ${formatDuration(((expectedBytes ?? 0) - bytes) / (rate / 1_000))} left`;
  const verb = verbs[progress.step];
  const figures = `${formatBytes(bytes)}${known ? ` of about ${formatBytes(expectedBytes)}` : ''}, ${formatBytes(rate)}/s${left}`;
  const room = Math.min(barWidth, columns - `${verb} [] ${figures}`.length);
  const bar = share === null || room < shortestBar ? '' : ` ${drawBar(share, room)}`;
  return `${verb}${bar} ${figures}`.slice(0, Math.max(0, columns));
}

function drawBar(share: number, width: number): string {
  const filled = Math.round(share * width);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}
