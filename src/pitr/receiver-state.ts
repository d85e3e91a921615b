// How a receiver stands, as it tells it after each upload and every few seconds. What is not said anew is as it was.

import type { SlotHold, SlotState } from './guard.ts';
import type { Lsn } from './lsn.ts';
import type { WalSink } from './wal-sink.ts';

/** How a receiver stands. */
export interface ReceiverState {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** From here on there is no hole in what is stored of the timeline. */
  readonly followsFrom: Lsn;
  readonly storedTo: Lsn;
  /** The server's clock when it wrote what was stored last, or said that there is no more; null: not known yet. */
  readonly coveredAt: Date | null;
  /** How far the server is; null: not known. */
  readonly endOfLog: Lsn | null;
  readonly slot: SlotState | null;
  readonly hold: SlotHold | null;
  /** Why the history of its timeline is not stored; null: it is. */
  readonly historyProblem: string | null;
  /** Why it does not go on; null: it does. */
  readonly problem: string | null;
}

/** What of a state follows from where the receiver is. */
export type Place = Pick<ReceiverState, 'systemIdentifier' | 'timeline' | 'followsFrom'> & {
  readonly sink: Pick<WalSink, 'storedTo'>;
};

/** Tells news of a receiver, where it is if it is anywhere. */
export type Reporter = (news: Partial<Omit<ReceiverState, 'storedTo'>> & { readonly position: Place | null }) => void;

/** A reporter that tells whole states, and what is in the way of the first of them. */
export function createReporter({
  onState,
  onObstacle,
}: {
  readonly onState: (state: ReceiverState) => void;
  readonly onObstacle: (problem: string) => void;
}): Reporter {
  let known: ReceiverState | null = null;
  return ({ position, ...news }) => {
    const place = position === null ? known : placeOf(position);
    if (place === null) {
      if (typeof news.problem === 'string') onObstacle(news.problem);
      return;
    }
    known = { ...unsaid, ...known, ...place, ...news };
    onState(known);
  };
}

function placeOf({ systemIdentifier, timeline, followsFrom, sink }: Place): Omit<ReceiverState, keyof typeof unsaid> {
  return { systemIdentifier, timeline, followsFrom, storedTo: sink.storedTo() };
}

const unsaid = { coveredAt: null, endOfLog: null, slot: null, hold: null, historyProblem: null, problem: null };
