import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  compareFingerprints,
  describeDifference,
  fingerprintSecrets,
  instanceSecrets,
  type Fingerprinted,
} from '../../src/mastodon/secret-fingerprints.ts';
import { environmentOf } from '../config/environments.ts';

const snapshotId = '2026-11-23T120000Z-4f1c2a';
const secrets = {
  SECRET_KEY_BASE: 'secret-key-base',
  OTP_SECRET: 'otp-secret',
  ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY: 'primary',
  LOCAL_DOMAIN: 'social.example',
};

function manifestOf(variables: Readonly<Record<string, string>>, id = snapshotId): Fingerprinted {
  return { id, secrets: { fingerprints: fingerprintSecrets(environmentOf(variables), { snapshotId: id }) } };
}

describe('fingerprints', () => {
  it('are 64 bits of HMAC-SHA-256 under the snapshot id, of what is set and of nothing else', () => {
    const found = fingerprintSecrets(environmentOf({ ...secrets, OTP_SECRET: '', SMTP_PASSWORD: 'x' }), { snapshotId });
    assert.deepEqual(Object.keys(found), ['SECRET_KEY_BASE', 'ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY', 'LOCAL_DOMAIN']);
    const hmac = createHmac('sha256', snapshotId).update('SECRET_KEY_BASE\0secret-key-base').digest('hex');
    assert.equal(found.SECRET_KEY_BASE, hmac.slice(0, 16));
  });

  it('differ between names and between snapshots for the same value', () => {
    const same = Object.fromEntries(instanceSecrets.map((name) => [name, 'the same everywhere']));
    const here = Object.values(fingerprintSecrets(environmentOf(same), { snapshotId }));
    const there = Object.values(fingerprintSecrets(environmentOf(same), { snapshotId: '2026-11-23T120000Z-4f1c2b' }));
    assert.equal(new Set([...here, ...there]).size, 2 * instanceSecrets.length);
  });

  it('tell what changed, what is missing and what was added, and nothing when nothing is', () => {
    assert.deepEqual(compareFingerprints(manifestOf(secrets), environmentOf(secrets)), {
      changed: [],
      missing: [],
      added: [],
    });
    const { SECRET_KEY_BASE: _gone, ...left } = secrets;
    const now = { ...left, ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY: 'another', WEB_DOMAIN: 'web.example' };
    assert.deepEqual(compareFingerprints(manifestOf(secrets), environmentOf(now)), {
      changed: ['ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY'],
      missing: ['SECRET_KEY_BASE'],
      added: ['WEB_DOMAIN'],
    });
    assert.equal(compareFingerprints({ id: snapshotId, secrets: null }, environmentOf(secrets)), null);
  });

  it('classify every secret exactly once, whatever was set then and now', () => {
    const some = fc.dictionary(fc.constantFrom(...instanceSecrets), fc.constantFrom('a', 'b'), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(some, some, (then, now) => {
        const found = compareFingerprints(manifestOf(then), environmentOf(now));
        for (const name of instanceSecrets) {
          const [before, after] = [then[name], now[name]];
          assert.equal(found?.changed.includes(name), before !== undefined && after !== undefined && before !== after);
          assert.equal(found?.missing.includes(name), before !== undefined && after === undefined);
          assert.equal(found?.added.includes(name), before === undefined && after !== undefined);
        }
      }),
    );
  });

  it("of a copy are those under the copy's own id, and not its source's", () => {
    const source = manifestOf(secrets);
    const id = '2026-11-24T120000Z-aaaaaa';
    const copy = { id, secrets: { fingerprints: fingerprintSecrets(environmentOf(secrets), { snapshotId: id }) } };
    assert.deepEqual(compareFingerprints(copy, environmentOf(secrets))?.changed, []);
    assert.equal(compareFingerprints({ id, secrets: source.secrets }, environmentOf(secrets))?.changed.length, 4);
  });

  it('say what a changed encryption key means, and name no value', () => {
    const now = environmentOf({ ...secrets, ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY: 'another', OTP_SECRET: '' });
    const comparison = compareFingerprints(manifestOf(secrets), now);
    assert.ok(comparison);
    const [changed = '', missing = '', ...rest] = describeDifference(comparison, { snapshot: 'weekly/x' });
    assert.match(changed, /ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY changed since the backup weekly\/x.*two-factor/);
    assert.match(missing, /OTP_SECRET came with the backup weekly\/x and is not set here any more/);
    assert.doesNotMatch(changed + missing, /another|otp-secret|primary\b/);
    assert.deepEqual(rest, []);
    assert.deepEqual(describeDifference({ changed: [], missing: [] }, { snapshot: 'x' }), []);
  });
});
