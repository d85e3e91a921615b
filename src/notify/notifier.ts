// Sends an event by every channel at once. It never throws and never takes long: a message must not fail a backup. What leaves
// here has been redacted, and a channel that fails is named in the log and in what is returned, so that health can show it.

import { describeError } from '../errors.ts';
import type { Log, Redact } from '../log.ts';
import { jittered, pauseOrEnd, type Random } from '../stream/patience.ts';
import { formatSpan } from '../text/format.ts';
import { DeliveryError, type Channel, type Delivery } from './channel.ts';
import { severityOf, type BackupEvent } from './event.ts';
import { messageFor } from './message.ts';

/** How a channel took an event; `error` null: well. */
export interface ChannelOutcome {
  readonly channel: string;
  readonly error: string | null;
}

/** How patient a notifier is; tests shorten it. Milliseconds. */
export interface NotifyPatience {
  readonly attempts: number;
  readonly attemptTimeoutMs: number;
  readonly pauseMs: number;
  /** The longest wait that a server may ask for. */
  readonly longestPauseMs: number;
}

const usualPatience: NotifyPatience = {
  attempts: 3,
  attemptTimeoutMs: 10_000,
  pauseMs: 2_000,
  longestPauseMs: 20_000,
};

/** Tells people. */
export interface Notifier {
  /** Never rejects; channels that had nothing to send are left out. */
  send(
    event: BackupEvent,
    options: {
      readonly signal: AbortSignal;
      /** One channel alone. */
      readonly only?: string;
    },
  ): Promise<readonly ChannelOutcome[]>;
}

/** A notifier for these channels. */
export function createNotifier(options: {
  readonly channels: readonly Channel[];
  /** BACKUP_NOTIFY. */
  readonly when: 'always' | 'failure' | 'off';
  readonly timeZone: string;
  /** How this program is called by whoever reads the messages. */
  readonly program: string;
  readonly log: Log;
  readonly redact: Redact;
  readonly patience?: NotifyPatience;
  readonly random?: Random;
}): Notifier {
  const { log, redact, patience = usualPatience, random = Math.random } = options;
  return {
    async send(event, { signal, only }) {
      const delivery = prepare(event, options);
      const channels = options.channels.filter(
        ({ name, filtered }) =>
          (only === undefined || name === only) && (!filtered || isWanted(delivery, options.when)),
      );
      return Promise.all(
        channels.map(async (channel): Promise<ChannelOutcome> => {
          try {
            await deliverPatiently(channel, { delivery, patience, random, signal });
            return { channel: channel.name, error: null };
          } catch (error) {
            const text = redact(describeError(error));
            log.warn(
              { channel: channel.name, event: event.kind },
              `A message by ${channel.name} could not be sent: ${text}`,
            );
            return { channel: channel.name, error: text };
          }
        }),
      );
    },
  };
}

function isWanted({ event, message }: Delivery, when: 'always' | 'failure' | 'off'): boolean {
  // Whoever asks for a test wants to see it.
  if (event.kind === 'test') return true;
  if (when === 'off' || message === null) return false;
  if (event.kind === 'run-failed' && event.repeated) return false;
  return when === 'always' || severityOf(event) !== 'info';
}

// Redacted as JSON, so that no field is forgotten.
function prepare(
  event: BackupEvent,
  { timeZone, program, redact }: { readonly timeZone: string; readonly program: string; readonly redact: Redact },
): Delivery {
  const clean = JSON.parse(redact(JSON.stringify(event))) as BackupEvent;
  const message = messageFor(clean, { timeZone, program });
  return {
    event: clean,
    message: message === null ? null : { ...message, title: redact(message.title), text: redact(message.text) },
  };
}

async function deliverPatiently(
  channel: Channel,
  {
    delivery,
    patience,
    random,
    signal,
  }: {
    readonly delivery: Delivery;
    readonly patience: NotifyPatience;
    readonly random: Random;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const timeout = AbortSignal.timeout(patience.attemptTimeoutMs);
    try {
      await channel.deliver(delivery, { signal: AbortSignal.any([signal, timeout]) });
      return;
    } catch (error) {
      const reason =
        timeout.aborted && !signal.aborted
          ? new Error(`no answer within ${formatSpan(patience.attemptTimeoutMs)}`)
          : error;
      const final = error instanceof DeliveryError && !error.retryable;
      if (signal.aborted || final || attempt === patience.attempts) throw reason;
      const asked = error instanceof DeliveryError ? error.retryAfterMs : null;
      const pauseMs = Math.min(patience.longestPauseMs, asked ?? jittered(patience.pauseMs * attempt, random));
      await pauseOrEnd(pauseMs, signal);
    }
  }
}
