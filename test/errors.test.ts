import assert from 'node:assert/strict';
import { it } from 'node:test';
import { AppError, exitStatusOf, reasonOf, retryOf, toAppError } from '../src/errors.ts';

it('a failure keeps the reason of what caused it, unless it knows better', () => {
  const cause = new AppError('store', 'The bucket refuses', { reason: 'access-denied' });
  assert.equal(reasonOf(new AppError('verify', 'It cannot be read', { cause })), 'access-denied');
  assert.equal(reasonOf(new AppError('verify', 'It is gone', { cause, reason: 'not-found' })), 'not-found');
  assert.equal(reasonOf(new AppError('verify', 'It cannot be read', { cause: new Error('plain') })), undefined);
  const fallback = { code: 'restore', message: 'It failed', reason: 'no-space' } as const;
  assert.equal(reasonOf(toAppError(new Error('disk full'), fallback)), 'no-space');
  assert.equal(toAppError(cause, fallback), cause);
});

it('the reason says whether to try again, and where there is none the kind of failure does', () => {
  assert.equal(retryOf(new AppError('store', 'A connection broke')), 'soon');
  assert.equal(retryOf(new AppError('store', 'The key was revoked', { reason: 'access-denied' })), 'slowly');
  assert.equal(retryOf(new AppError('dump', 'A page is zero', { reason: 'damaged-source' })), 'never');
  assert.equal(retryOf(new AppError('settings', 'A typo')), 'slowly');
  assert.equal(retryOf(new TypeError('a mistake of ours')), 'slowly');
});

it('the reason changes nothing about the exit status', () => {
  assert.equal(exitStatusOf(new AppError('store', 'The key was revoked', { reason: 'access-denied' })), 12);
});
