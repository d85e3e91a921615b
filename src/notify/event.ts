// What there is to tell people: one union of events, plain data that may go out as JSON. No event carries a secret, a stack
// or an object of this program.

/** How grave an event is; BACKUP_NOTIFY=failure passes all but `info`. */
export type Severity = 'info' | 'warning' | 'failure';

/** What every event says. Times are ISO 8601 in UTC, sizes bytes, durations milliseconds. */
interface EventBase {
  /** LOCAL_DOMAIN, or host/database. */
  readonly instance: string;
  readonly at: string;
}

/** How a run ended at one destination. */
export interface DestinationReport {
  /** For people: bucket and endpoint, or directory. */
  readonly place: string;
  readonly status: 'stored' | 'failed';
  readonly error: string | null;
  readonly hint: string | null;
}

/** A snapshot as it is compared with. */
export interface ComparedSnapshot {
  readonly dataAt: string;
  readonly dumpBytes: number;
  readonly objectBytes: number;
  readonly durationMs: number | null;
}

/** A run began; only dead-man pings care. */
export interface RunStarted extends EventBase {
  readonly kind: 'run-started';
  readonly tier: string;
}

/** A backup was committed in at least one destination. */
export interface RunSucceeded extends EventBase {
  readonly kind: 'run-succeeded';
  readonly tier: string;
  readonly id: string;
  readonly dataAt: string;
  readonly durationMs: number;
  readonly dumpBytes: number;
  readonly objectBytes: number;
  /** `<tier>/<id>` of the snapshot it was copied from, or null for a dump of its own. */
  readonly copiedFrom: string | null;
  /** The snapshot before it in the same tier. */
  readonly previous: ComparedSnapshot | null;
  /** The dump is much smaller than its predecessors. */
  readonly shrunk: boolean;
  readonly destinations: readonly DestinationReport[];
  /** Snapshots that retention removed afterwards; null when it did not run. */
  readonly prunedCount: number | null;
  readonly nextRunAt: string | null;
  readonly warnings: readonly string[];
}

/** No backup came of a run. */
export interface RunFailed extends EventBase {
  readonly kind: 'run-failed';
  readonly tier: string;
  /** Whether it lasts, and people were told of it within a day: then only a dead man's switch hears of it. */
  readonly repeated: boolean;
  /** The step that failed, such as `dump`, `store` or `verify`: the code of the error. */
  readonly step: string;
  readonly message: string;
  readonly hint: string | null;
  /** `dataAt` of the newest verified snapshot, of any tier; null: there is none. */
  readonly lastGoodAt: string | null;
  readonly nextRunAt: string | null;
}

/** A restore drill ended. */
export interface DrillEnded extends EventBase {
  readonly kind: 'drill-ended';
  readonly status: 'passed' | 'failed' | 'incomplete' | 'skipped';
  /** `<tier>/<id>`; null when there was nothing to drill. */
  readonly snapshot: string | null;
  readonly durationMs: number | null;
  /** What was found wrong or left out, a line each. */
  readonly findings: readonly string[];
}

/** Something else an administrator must look at: a held prune, changed secrets, bucket rules that delete too early. */
export interface Attention extends EventBase {
  readonly kind: 'attention';
  readonly subject: string;
  readonly message: string;
  readonly hint: string | null;
}

/** Somebody asks whether messages arrive. */
export interface Test extends EventBase {
  readonly kind: 'test';
}

/** Everything there is to tell. */
export type BackupEvent = RunStarted | RunSucceeded | RunFailed | DrillEnded | Attention | Test;

/** How grave an event is. */
export function severityOf(event: BackupEvent): Severity {
  switch (event.kind) {
    case 'run-started':
    case 'test':
      return 'info';
    case 'run-succeeded': {
      const troubled =
        event.shrunk || event.warnings.length > 0 || event.destinations.some(({ status }) => status === 'failed');
      return troubled ? 'warning' : 'info';
    }
    case 'run-failed':
      return 'failure';
    case 'drill-ended':
      if (event.status === 'passed') return 'info';
      return event.status === 'failed' ? 'failure' : 'warning';
    case 'attention':
      return 'warning';
    default:
      return event satisfies never;
  }
}
