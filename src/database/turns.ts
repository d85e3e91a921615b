// One session, asked by several at once: who needs more than one statement in a row has the session to itself meanwhile. A
// statement that gets in between savepoint and rollback fails with whatever failed there, and would end the snapshot.

/** Gives the session to one after the other. */
export interface Turns {
  /** Waits for its turn, does the work and hands the session on, whatever came of it. */
  take<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** The turns of one session. */
export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  return {
    async take(work) {
      const turn = last.then(work);
      // Without what came of it, which may be large.
      last = turn.then(
        () => undefined,
        () => undefined,
      );
      return turn;
    },
  };
}
