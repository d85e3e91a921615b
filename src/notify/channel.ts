// What a channel is: it takes a message, or the event itself, and delivers it once. Time-outs, repetition and redaction are
// the notifier's, so that no channel can forget them.

import type { BackupEvent } from './event.ts';
import type { Message } from './message.ts';

/** What is delivered; every text in it is redacted. */
export interface Delivery {
  readonly event: BackupEvent;
  /** Null: there is nothing to tell people, only machines. */
  readonly message: Message | null;
}

/** A way to tell somebody. */
export interface Channel {
  /** For log and health; never its address, which is often a secret. */
  readonly name: string;
  /** Whether BACKUP_NOTIFY decides what it gets; a dead man's switch gets everything. */
  readonly filtered: boolean;
  /**
   * Delivers once. Resolves also when there is nothing to deliver; rejects with `DeliveryError`, or with anything else, which
   * is tried again.
   */
  deliver(delivery: Delivery, options: { readonly signal: AbortSignal }): Promise<void>;
  /**
   * Asks what can be asked without anybody getting a message, and says what is known then; rejects when it would not work.
   * Not there: nothing can be asked.
   */
  examine?(options: { readonly signal: AbortSignal }): Promise<string>;
}

/** A delivery that failed, and whether trying again can help. */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError';
  readonly retryable: boolean;
  /** How long the other side asked us to wait, in milliseconds. */
  readonly retryAfterMs: number | null;

  constructor(message: string, options: { readonly retryable: boolean; readonly retryAfterMs?: number | null }) {
    super(message);
    this.retryable = options.retryable;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}
