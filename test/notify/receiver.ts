// An HTTP server that takes what channels send, and answers as it is told.

import { startProvider, type ProviderRequest } from '../support/providers/provider.ts';

/** An answer; `hang` never comes. */
export type Answer =
  'hang' | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> };

/** A running receiver. */
export interface Receiver extends AsyncDisposable {
  readonly url: string;
  readonly received: ProviderRequest[];
  /** Answers, in turn; the last one for all that follow. The default is 200. */
  answer(...answers: readonly Answer[]): void;
}

/** Starts one. */
export async function startReceiver(): Promise<Receiver> {
  let answers: Answer[] = [];
  const provider = await startProvider(() => {
    const answer = (answers.length > 1 ? answers.shift() : answers[0]) ?? { status: 200 };
    return answer === 'hang' ? answer : { body: 'ok', ...answer };
  });
  return {
    url: provider.url,
    received: provider.requests,
    answer(...next) {
      answers = [...next];
    },
    [Symbol.asyncDispose]: async () => provider[Symbol.asyncDispose](),
  };
}
