// The log of the server is followed for as long as the daemon runs, and how it stands is remembered for health and told where a
// person has to know: a slot that fills, a hole, a server that keeps nothing for us.

import { chainCompression } from '../pitr/encoding.ts';
import { identitiesOf, recipientsOf } from '../config/age-keys.ts';
import { formatLsn, parseLsn } from '../pitr/lsn.ts';
import type { ReceiverState } from '../pitr/receiver-state.ts';
import { runReceiver } from '../pitr/receiver.ts';
import type { Remembered } from '../pitr/start.ts';
import type { FollowingRecord } from '../state/pitr-record.ts';
import type { AppContext, EventDetails } from './context.ts';
import { lockFor } from './locking.ts';
import { newsOfLog } from './log-news.ts';

/** How often what changes all the time is remembered. */
const rememberEveryMs = 5_000;

/** Follows the log until `signal` aborts. Rejects with AppError when a person has to do something first. */
export async function followLog(context: AppContext, signal: AbortSignal): Promise<void> {
  const { settings, target, instance } = context.load();
  await using _lock = await lockFor(context, { name: 'pitr', command: 'daemon', wait: true, signal });
  const memory = createMemory(context, signal);
  await using _settled = { [Symbol.asyncDispose]: memory.settled };
  await runReceiver({
    connection: target,
    repository: await context.storeToRead(null),
    instance,
    form: { compression: chainCompression, recipients: recipientsOf(settings.keys) },
    identities: identitiesOf(settings.keys),
    recall: async () => recalled((await context.state().readPitr())?.following ?? null),
    uploadEveryMs: settings.pitr.uploadEveryMs,
    slotLimitBytes: settings.pitr.slotLimitBytes,
    onState: memory.take,
    onObstacle: memory.note,
    now: context.now,
    random: Math.random,
    log: context.log,
    signal,
  });
}

function recalled(following: FollowingRecord | null): Remembered | null {
  if (following === null) return null;
  const { systemIdentifier, timeline, followsFrom, storedTo } = following;
  return { systemIdentifier, timeline, followsFrom: parseLsn(followsFrom), storedTo: parseLsn(storedTo) };
}

function createMemory(
  context: AppContext,
  signal: AbortSignal,
): {
  readonly take: (state: ReceiverState) => void;
  readonly note: (obstacle: string) => void;
  readonly settled: () => Promise<void>;
} {
  let before: FollowingRecord | null = null;
  let wroteAt = Number.NEGATIVE_INFINITY;
  let untold: FollowingRecord | null = null;
  let obstacle: string | null = null;
  let writing: Promise<unknown> = (async () => {
    const record = await context.state().readPitr();
    before = record?.following ?? null;
    obstacle = record?.obstacle ?? null;
  })();
  const inTurn = (work: () => Promise<void>): void => {
    writing = writing.then(work).catch((error: unknown) => {
      context.log.warn({ err: error }, 'How the log is followed could not be remembered');
    });
  };
  const write = async (following: FollowingRecord): Promise<void> => {
    const news = newsOfLog({ before, now: following });
    before = following;
    obstacle = null;
    await context.state().updatePitr({ following, obstacle });
    for (const one of news) await tell(one);
  };
  const tell = async (event: EventDetails): Promise<void> => {
    if (!signal.aborted) await context.tell(event, signal);
  };
  return {
    take(state) {
      const following = toRecord(state, context.now());
      const isNews = before === null || newsOfLog({ before, now: following }).length > 0;
      const changed = before?.problem !== following.problem || before.followsFrom !== following.followsFrom;
      if (!isNews && !changed && performance.now() - wroteAt < rememberEveryMs) {
        untold = following;
        return;
      }
      wroteAt = performance.now();
      untold = null;
      inTurn(async () => write(following));
    },
    note(text) {
      inTurn(async () => {
        if (text === obstacle) return;
        obstacle = text;
        await context.state().updatePitr({ obstacle });
      });
    },
    async settled() {
      const last = untold;
      if (last !== null) inTurn(async () => write(last));
      await writing;
    },
  };
}

function toRecord(state: ReceiverState, now: Date): FollowingRecord {
  const { slot, hold, endOfLog, storedTo } = state;
  return {
    at: now.toISOString(),
    systemIdentifier: state.systemIdentifier,
    timeline: state.timeline,
    followsFrom: formatLsn(state.followsFrom),
    storedTo: formatLsn(storedTo),
    coveredAt: state.coveredAt?.toISOString() ?? null,
    behindBytes: endOfLog === null ? null : Number(endOfLog > storedTo ? endOfLog - storedTo : 0n),
    slot:
      slot === null
        ? null
        : {
            name: slot.name,
            status: slot.status,
            keptBytes: slot.keptBytes === null ? null : Math.max(0, slot.keptBytes),
            limitBytes: hold?.kind === 'slot' ? hold.limitBytes : null,
          },
    withoutSlot: hold?.kind === 'none' ? hold.reason : null,
    historyProblem: state.historyProblem,
    problem: state.problem,
  };
}
