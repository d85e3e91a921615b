// Whatever a directory answers, people are told what to do about it.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { localError } from '../../src/storage/local-errors.ts';

it('says of every failure of a directory what to do next', async () => {
  const codes =
    'ENOSPC EDQUOT EACCES EPERM EROFS EEXIST ENOENT EIO ESTALE ETIMEDOUT EHOSTDOWN ELOOP EMFILE ENOANO'.split(' ');
  for (const code of [...codes, undefined]) {
    const cause = Object.assign(new Error('what the system says'), code === undefined ? {} : { code });
    const error = await localError(cause, { action: 'A file could not be stored', directory: '/nowhere' });
    assert.match(error.hint ?? '', /^[A-Z].+\.$/, String(code));
  }
});
