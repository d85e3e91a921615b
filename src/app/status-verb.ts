// How it stands, from what is remembered: a page that is looked at costs neither database nor bucket anything.

import type { DrillReport } from '../state/records.ts';
import { viewStatus, type Status } from '../status/status.ts';
import { mapStrings } from '../text/strings.ts';
import type { AppContext } from './context.ts';
import { remembered } from './remembered.ts';

/** Looks at all that is remembered. */
export async function status(context: AppContext): Promise<Status> {
  const { settings } = context.load();
  const state = context.state();
  const [known, history, drills, progress, heartbeat] = await Promise.all([
    remembered(context),
    state.readHistory(),
    state.readDrills(),
    state.readProgress(),
    state.readHeartbeat(),
  ]);
  const {
    snapshots,
    history: points,
    calendar,
    ...texts
  } = viewStatus({
    ...known,
    toolVersion: context.toolVersion,
    timetable: context.timetable(),
    keep: settings.retention.keep,
    retentionMode: settings.retention.mode,
    pitrKeepMs: settings.pitr.keepMs,
    graceMs: settings.healthGraceMs,
    timeoutMs: settings.timeoutMs,
    history,
    drills,
    progress,
    heartbeat,
  });
  // Messages of others, which may hold what was said to them.
  return { snapshots, history: points, calendar, ...mapStrings(texts, context.redact) };
}

/** What a drill found; null: no such drill is remembered. */
export async function drillReport(context: AppContext, id: string): Promise<DrillReport | null> {
  context.load();
  const drills = await context.state().readDrills();
  const report = drills?.reports.find((one) => one.id === id);
  return report === undefined ? null : mapStrings(report, context.redact);
}
