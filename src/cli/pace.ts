// How fast something goes now: over the last half a minute, not since it began. Over all of a run an estimate climbs for as long
// as the run gets slower.

/** The window that is looked at, in milliseconds. */
const windowMs = 30_000;
/** What moves within this is one sample, in milliseconds. */
const sampleMs = 500;

/** What has moved until when. */
export interface Pace {
  /** Notes that so many bytes have moved by `at`, in milliseconds of any clock. */
  push(bytes: number, at: number): void;
  /** Bytes a second over the window that ends at `at`; 0: not known yet. */
  rate(at: number): number;
}

/** Nothing has moved yet at `startedAt`. */
export function createPace(startedAt: number): Pace {
  let samples: { readonly at: number; readonly bytes: number }[] = [{ at: startedAt, bytes: 0 }];
  let latest = 0;
  return {
    push(bytes, at) {
      latest = bytes;
      if (at - (samples.at(-1)?.at ?? 0) < sampleMs) return;
      samples.push({ at, bytes });
      // The last one before the window is where the window begins.
      const first = samples.findLastIndex((one) => one.at <= at - windowMs);
      if (first > 0) samples = samples.slice(first);
    },
    rate(at) {
      const begin = samples.findLast((one) => one.at <= at - windowMs) ?? samples[0];
      const elapsedMs = begin === undefined ? 0 : at - begin.at;
      return begin === undefined || elapsedMs <= 0 ? 0 : Math.max(0, ((latest - begin.bytes) / elapsedMs) * 1_000);
    },
  };
}
