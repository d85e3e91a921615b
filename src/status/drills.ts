// The drills: the last one with its checks, when one last passed, when the next comes, and how long a restore took over time.

import type { AttemptsRecord, DrillReport } from '../state/records.ts';
import type { StatusFacts } from './status.ts';

/** What is known of drills. Times are ISO 8601 where they were remembered so. */
export interface DrillsView {
  /** How the last one ended; null: there has been none. */
  readonly last: AttemptsRecord['drill'];
  /** Its report; null: it is not remembered. */
  readonly report: DrillReport | null;
  readonly nextAt: Date | null;
  /** Reports without their checks, newest first. */
  readonly reports: readonly Omit<DrillReport, 'checks'>[];
}

/** Looks at what is remembered of drills. */
export function viewDrills(facts: Pick<StatusFacts, 'attempts' | 'drills' | 'next'>): DrillsView {
  const reports = facts.drills?.reports ?? [];
  const { drill } = facts.attempts;
  return {
    last: drill,
    report: reports.find(({ endedAt }) => endedAt === drill?.at) ?? null,
    nextAt: facts.next.find(({ schedule }) => schedule === 'drill')?.at ?? null,
    reports: reports.map(({ checks: _checks, ...report }) => report),
  };
}
