// What a person sees while a run goes on: a line that redraws itself on a terminal, else a log line every 30 s.

import type { Progress, ProgressListener } from '../backup/progress.ts';
import type { Log } from '../log.ts';
import { formatBytes, formatDuration } from '../text/format.ts';
import { createPace, type Pace } from './pace.ts';

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
  let latest: { readonly progress: Progress; readonly pace: Pace } | undefined;
  const timer = setInterval(
    () => {
      if (latest === undefined) return;
      const rate = latest.pace.rate(performance.now());
      // A line that fills the last column has begun the next one, which nothing would take away again.
      const columns = output.isTerminal ? output.columns() - 1 : Number.POSITIVE_INFINITY;
      const text = describeProgress(latest.progress, { rate, columns });
      if (output.isTerminal) output.write(`${eraseLine}${text}`);
      else log.info({ ...latest.progress }, text);
    },
    output.isTerminal ? redrawMs : logMs,
  );
  timer.unref();
  return {
    update(progress) {
      const now = performance.now();
      const pace = latest?.progress.step === progress.step ? latest.pace : createPace(now);
      pace.push(progress.bytes, now);
      latest = { progress, pace };
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      if (output.isTerminal && latest !== undefined) output.write(eraseLine);
      latest = undefined;
    },
  };
}

/** A time that nobody waits for, as at the rate of the first bytes, is none to be told: 100 hours, in milliseconds. */
const longestLeftMs = 100 * 3_600_000;
/** What comes to this many times what was expected was expected wrongly. */
const mostBeyond = 1.5;

/**
 * One line of at most `columns` characters: the share of what is expected first, then bytes, the rate in bytes a second, the time
 * it will still take at that rate, and a bar where there is room for it.
 */
export function describeProgress(
  progress: Progress,
  { rate, columns }: { readonly rate: number; readonly columns: number },
): string {
  const { bytes, step } = progress;
  const expected = progress.expectedBytes ?? 0;
  const known = expected > 0 && bytes <= expected * mostBeyond;
  // A dump that grows beyond the last one is not done at 100 %.
  const share = Math.min(bytes > expected ? 0.99 : 1, bytes / expected);
  const leftMs = ((expected - bytes) / rate) * 1_000;
  const left = known && leftMs > 0 && leftMs < longestLeftMs ? `, about ${formatDuration(leftMs)} left` : '';
  const head = known ? `${verbs[step]} ${Math.floor(share * 100)} %` : verbs[step];
  const figures = `${formatBytes(bytes)}${known ? ` of about ${formatBytes(expected)}` : ''}, ${formatBytes(rate)}/s${left}`;
  const room = Math.min(barWidth, columns - `${head} [] ${figures}`.length);
  const bar = !known || room < shortestBar ? ' ' : ` ${drawBar(share, room)} `;
  return `${head}${bar}${figures}`.slice(0, Math.max(0, columns));
}

function drawBar(share: number, width: number): string {
  const filled = Math.round(share * width);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}
