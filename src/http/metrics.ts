// What Prometheus scrapes, made anew from what is remembered at every scrape: a counter in memory would start from zero with
// every new container. Times are seconds since 1970, sizes bytes, durations seconds.

import { Counter, Gauge, Registry } from 'prom-client';
import type { Remembered } from '../app/remembered.ts';
import type { ErrorCode } from '../errors.ts';
import { withoutFuture } from '../schedule/due.ts';

const runSteps: readonly ErrorCode[] = ['database', 'dump', 'codec', 'store', 'verify', 'timeout', 'stalled'];
const drillSteps: readonly ErrorCode[] = ['store', 'undrilled', 'timeout'];

/** The metrics in Prometheus's text format, and their content type. */
export async function renderMetrics(
  remembered: Remembered,
  { toolVersion }: { readonly toolVersion: string },
): Promise<{ readonly contentType: string; readonly text: string }> {
  const registry = new Registry();
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Gauge<Label> =>
    new Gauge({ name: `mastodon_backup_${name}`, help, labelNames: [...labelNames], registers: [registry] });
  const seconds = (time: string | Date): number => new Date(time).getTime() / 1_000;

  // Not `instance`: that label is what Prometheus itself calls whom it scrapes.
  gauge('info', 'Version, and whose backups these are; always 1', ['version', 'domain']).set(
    { version: toolVersion, domain: remembered.instance },
    1,
  );
  gauge('clock_timestamp_seconds', 'What the clock showed at this scrape').set(seconds(remembered.now));
  gauge('healthy', '1 when the healthcheck passes').set(remembered.health.healthy ? 1 : 0);
  const status = gauge('status', '1 for the status that holds', ['status']);
  for (const name of ['starting', 'healthy', 'degraded', 'late', 'failed'])
    status.set({ status: name }, name === remembered.health.status ? 1 : 0);
  gauge('running', '1 while a run is on').set(remembered.health.running === null ? 0 : 1);

  const place = ['destination', 'tier'] as const;
  const lastSuccess = gauge('last_success_timestamp_seconds', 'When the newest snapshot was committed', place);
  const age = gauge('last_success_age_seconds', 'Age of the newest data', place);
  const deadline = gauge('deadline_timestamp_seconds', 'When the next snapshot must be there', place);
  const objectBytes = gauge('object_bytes', 'Stored size of the newest snapshot', place);
  const dumpBytes = gauge('dump_bytes', 'Size of the newest dump before compression', place);
  const duration = gauge('duration_seconds', 'How long the newest run took', place);
  const count = gauge('snapshots', 'Snapshots kept', place);
  const stored = gauge('stored_bytes', 'Stored size of all snapshots kept', place);
  const oldest = gauge('oldest_restorable_timestamp_seconds', 'Oldest moment that can be restored', ['destination']);
  const newest = gauge('newest_restorable_timestamp_seconds', 'Newest moment that can be restored', ['destination']);
  const readable = gauge('destination_readable', '1 when the destination could be read last time', ['destination']);
  const missed = gauge('destination_missed', '1 when the last backup did not get into the destination', [
    'destination',
  ]);
  const damaged = gauge('damaged_snapshots', 'Manifests whose object is missing or of another size', ['destination']);
  for (const store of remembered.stores) {
    const destination = store.name;
    readable.set({ destination }, store.error === null ? 1 : 0);
    const isMissing = remembered.attempts.destinationFailures.some((one) => one.place === store.description);
    missed.set({ destination }, isMissing ? 1 : 0);
    damaged.set({ destination }, store.damagedCount);
    // What is dated in the future is never chosen, and would be the newest for as long as its clock was ahead.
    const times = withoutFuture(store.snapshots, remembered.now).map(({ dataAt }) => seconds(dataAt));
    if (times.length > 0) {
      oldest.set({ destination }, Math.min(...times));
      newest.set({ destination }, Math.max(...times));
    }
    for (const { tier, deadlineAt } of store.standings)
      if (deadlineAt !== null) deadline.set({ destination, tier }, seconds(deadlineAt));
    for (const [tier, snapshots] of Map.groupBy(store.snapshots, (one) => one.tier)) {
      const labels = { destination, tier };
      count.set(labels, snapshots.length);
      stored.set(
        labels,
        snapshots.reduce((sum, one) => sum + one.objectBytes, 0),
      );
      // Newest first, as they are remembered.
      const [last] = withoutFuture(snapshots, remembered.now);
      if (last === undefined) continue;
      lastSuccess.set(labels, seconds(last.committedAt));
      age.set(labels, seconds(remembered.now) - seconds(last.dataAt));
      objectBytes.set(labels, last.objectBytes);
      dumpBytes.set(labels, last.dumpBytes);
      duration.set(labels, seconds(last.committedAt) - seconds(last.startedAt));
    }
  }

  setPitr(remembered.health.pitr, gauge);

  const next = gauge('next_run_timestamp_seconds', 'When the next run begins', ['schedule']);
  for (const { schedule, at } of remembered.next) next.set({ schedule }, seconds(at));
  const failures = new Counter({
    name: 'mastodon_backup_failures_total',
    help: 'Failed runs since the state directory was made',
    labelNames: ['tier', 'step'],
    registers: [registry],
  });
  // From zero on: of a counter that appears with its first failure Prometheus sees no increase.
  for (const { schedule: tier } of remembered.next)
    for (const step of tier === 'drill' ? drillSteps : runSteps) failures.inc({ tier, step }, 0);
  for (const [name, value] of Object.entries(remembered.attempts.failureCounts)) {
    const [tier = '', step = ''] = name.split(' ');
    failures.inc({ tier, step }, value);
  }
  const { drill, prune, channels } = remembered.attempts;
  if (drill !== null) {
    const drillStatus = gauge('drill_status', '1 for how the last drill ended', ['status']);
    for (const name of ['passed', 'failed', 'incomplete', 'skipped'])
      drillStatus.set({ status: name }, name === drill.status ? 1 : 0);
    gauge('drill_timestamp_seconds', 'When the last drill ended').set(seconds(drill.at));
    if (drill.lastSuccessAt !== null)
      gauge('drill_last_success_timestamp_seconds', 'When a drill last passed').set(seconds(drill.lastSuccessAt));
    if (drill.durationMs !== null)
      gauge('drill_duration_seconds', 'How long the last drill took to restore').set(drill.durationMs / 1_000);
  }
  if (prune !== null) {
    gauge('prune_ok', '0 when retention was held or failed').set(prune.problem === null ? 1 : 0);
    gauge('pruned_snapshots', 'Snapshots that the last prune removed').set(prune.removedCount);
  }
  const channel = gauge('channel_ok', '0 when the last message by this channel failed', ['channel']);
  for (const { channel: name, error } of channels) channel.set({ channel: name }, error === null ? 1 : 0);
  return { contentType: registry.contentType, text: await registry.metrics() };
}

function setPitr(pitr: Remembered['health']['pitr'], gauge: (name: string, help: string) => Gauge): void {
  if (pitr === null) return;
  const seconds = (time: string): number => Date.parse(time) / 1_000;
  const { restorableFrom, restorableTo, lagSeconds, slot, walKeptBytes } = pitr;
  gauge('pitr_slot_ok', '1 when the server keeps its log for us').set(slot === null || slot === 'lost' ? 0 : 1);
  if (restorableFrom !== null)
    gauge('pitr_restorable_from_timestamp_seconds', 'From here on every moment can be had').set(
      seconds(restorableFrom),
    );
  if (restorableTo !== null)
    gauge('pitr_restorable_to_timestamp_seconds', 'To here every moment can be had').set(seconds(restorableTo));
  if (lagSeconds !== null) gauge('pitr_lag_seconds', 'How far what is stored is behind').set(lagSeconds);
  if (walKeptBytes !== null) gauge('pitr_wal_kept_bytes', 'Log that the server keeps for us').set(walKeptBytes);
}
