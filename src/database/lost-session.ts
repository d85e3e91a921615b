// A session that breaks off under a query, told as what it is. The driver throws whatever the socket or the server said last, such
// as "read ECONNRESET", which would reach people as an unexpected failure and be tried again as rarely as one.

import type { Client } from 'pg';
import { AppError, describeError } from '../errors.ts';
import { sqlStateOf } from './sql-state.ts';

type Query = (...args: readonly unknown[]) => unknown;

/** SQLSTATEs with which a server ends a session: broken connections, being ended, crashes, too long idle; appendix A. */
const endingStates = /^(08...|57P0[1235]|25P0[34])$/;
/** Node's codes, such as EPIPE, begin with an E, which no SQLSTATE does. */
const anyState = /^[0-9A-DF-Z][0-9A-Z]{4}$/;
/** What the driver says of a connection by itself. */
const driverWords = /^(Connection terminated|Client (was closed|has encountered)|Query read timeout)/;

/** Whether a server ended the session, or nobody answers in it any more. */
export function isLostSession(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state !== undefined) return endingStates.test(state) || (!anyState.test(state) && isSystemCode(error));
  return error instanceof Error && driverWords.test(error.message);
}

/**
 * Has the queries of a client tell a lost session as AppError `database`, or as the reason of `signal` when that ended it. Its connection is
 * then cut off.
 */
export function tellLostSession(
  client: Client,
  { target, signal, cutOff }: { readonly target: string; readonly signal: AbortSignal; readonly cutOff: () => void },
): void {
  const told = (error: unknown): unknown => {
    if (!isLostSession(error)) return error;
    // Whoever waits behind a statement that nobody answers would wait as long once more.
    cutOff();
    if (signal.aborted) return signal.reason as unknown;
    return new AppError('database', `The session with the database ${target} was lost: ${describeError(error)}`, {
      cause: error,
      reason: 'unreachable',
      hint: "Look into the database's log and at the network to it, then try again.",
    });
  };
  const query = client.query.bind(client) as Query;
  const telling: Query = (...args) => {
    const answer = query(...args);
    if (!(answer instanceof Promise)) return answer;
    return answer.catch((error: unknown) => {
      throw told(error);
    });
  };
  Object.assign(client, { query: telling });
}

function isSystemCode(error: unknown): boolean {
  return error instanceof AggregateError || 'syscall' in (error as object);
}
