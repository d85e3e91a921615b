// A bucket with Object Lock as AWS documents it, in front of a server that has none: nothing is taken without a checksum, what was
// stored with a retention says so, and is deleted by nobody. Ceph's gateway, which has all of it but the first, is asked too where it
// is there (test/image/ceph.image.ts).

import type { DoorAction, SeenRequest } from '../s3-server.ts';

/** The stand-in. */
export interface LockedBucket {
  /** The rule for the door. */
  readonly rule: (request: SeenRequest) => DoorAction;
  /** Until when each key is locked. */
  readonly locks: Map<string, string>;
}

const mode = 'x-amz-object-lock-mode';
const until = 'x-amz-object-lock-retain-until-date';
const enabled = {
  'object-lock': '<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>',
  versioning: '<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>',
};

/** Makes one; `deletes: 'refused'` as of stores without versions, else a locked object only seems to go. */
export function createLockedBucket({ deletes }: { readonly deletes: 'refused' | 'marked' }): LockedBucket {
  const locks = new Map<string, string>();
  return {
    locks,
    rule({ method, path, query, headers }) {
      for (const [name, body] of Object.entries(enabled))
        if (method === 'GET' && query.has(name)) return { kind: 'reply', status: 200, body };
      const isCopy = headers['x-amz-copy-source'] !== undefined;
      if (method === 'PUT' && !isCopy && headers['content-md5'] === undefined)
        return { kind: 'answer', status: 400, code: 'InvalidRequest' };
      const end = headers[until];
      if (typeof end === 'string' && headers[mode] !== undefined) locks.set(path, end);
      const lock = locks.get(path);
      if (lock === undefined) return { kind: 'pass' };
      if (method === 'HEAD') return { kind: 'headers', headers: { [mode]: 'COMPLIANCE', [until]: lock } };
      if (method === 'DELETE' && deletes === 'refused') return { kind: 'answer', status: 403, code: 'ObjectLocked' };
      return { kind: 'pass' };
    },
  };
}
