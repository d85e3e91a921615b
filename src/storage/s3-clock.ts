// The store's clock. Every answer carries a date, a refusal too: whoever asks for it with a request that some tokens may not
// make never learns it, and then nothing is ever deleted.

import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { AppError } from '../errors.ts';
import type { S3Bucket } from './s3-bucket.ts';

/** What the store says the time is; rejects when it does not answer. */
export async function readClock(place: S3Bucket, signal: AbortSignal): Promise<Date> {
  const action = "The store's clock could not be read";
  return place.attempt(action, {
    signal,
    run: async () => {
      const command = new HeadBucketCommand({ Bucket: place.bucket });
      let date: string | undefined;
      command.middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          date = (result.response as { headers?: Record<string, string> }).headers?.['date'];
          return result;
        },
        // Before an answer is taken for an error.
        { step: 'deserialize', name: 'readDate', priority: 'low' },
      );
      try {
        await place.client.send(command, { abortSignal: signal });
      } catch (error) {
        if (date === undefined) throw error;
      }
      const now = new Date(date ?? Number.NaN);
      if (!Number.isNaN(now.getTime())) return now;
      throw new AppError('store', `${action} in ${place.description}: it answers without a date`, {
        hint: "Let the proxy before the store pass its header 'Date' on: without it nothing is removed.",
      });
    },
  });
}
