// What a restore that was interrupted ends with: the interruption, unless its failure says what that has left behind.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { asRestoreFailure } from '../../src/app/restore-verb.ts';
import { AppError } from '../../src/errors.ts';

const hint = 'Do it again.';

async function endOf(error: unknown, reason?: AppError): Promise<unknown> {
  const abort = new AbortController();
  if (reason !== undefined) abort.abort(reason);
  return asRestoreFailure(abort.signal, async () => {
    throw error;
  }).catch((failure: unknown) => failure);
}

it('an interruption is told as one, whatever was at work', async () => {
  const reason = new AppError('interrupted', 'Interrupted by SIGINT', { hint });
  const extension = new AppError('restore', 'The extension could not be created', { cause: reason, hint });
  for (const error of [extension, new Error('broken'), reason]) assert.equal(await endOf(error, reason), reason);
});

it('what an interruption has left behind is told with it', async () => {
  const reason = new AppError('interrupted', 'Interrupted by SIGINT', { hint });
  const filled = new AppError('interrupted', 'Interrupted by SIGINT; it is filled all the same', {
    cause: reason,
    hint,
  });
  assert.equal(await endOf(filled, reason), filled);
});

it('what fails by itself has failed as a restore', async () => {
  const error = new AppError('store', 'The bucket is gone', { hint });
  const failure = await endOf(error);
  assert.ok(failure instanceof AppError);
  assert.deepEqual([failure.code, failure.message, failure.hint], ['restore', error.message, hint]);
});
