// What a run tells while it runs. The run only reports; a progress bar or a log line every 30 s is made of it elsewhere.

/** Where a run stands. */
export interface Progress {
  readonly step: 'dump' | 'verify' | 'restore';
  /** Plain bytes of the dump, or bytes read back. */
  readonly bytes: number;
  /** What `bytes` will come to, estimated; null when nothing is known. */
  readonly expectedBytes: number | null;
}

/** Takes progress; called often, must be cheap. */
export type ProgressListener = (progress: Progress) => void;
