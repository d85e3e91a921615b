import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { closestName, editDistance } from '../../src/config/reader.ts';
import { variableNames } from '../../src/config/table.ts';
import { localOnly, read } from './environments.ts';

describe('names of settings', () => {
  it('stops at a name that is close to a known one and suggests it', () => {
    const typos = {
      BACKUP_S3_BUKCET: 'BACKUP_S3_BUCKET',
      BACKUP_AGE_RECIPIENT: 'BACKUP_AGE_RECIPIENTS',
      BACKUP_AGE_RECIPIENTS_FIEL: 'BACKUP_AGE_RECIPIENTS_FILE',
      BACKUP_S3_ACCESS_KEY: 'BACKUP_S3_ACCESS_KEY_ID',
      BACKUP_LOCALDIR: 'BACKUP_LOCAL_DIR',
      BAKCUP_LOCAL_DIR: 'BACKUP_LOCAL_DIR',
      BACKUPS_LOCAL_DIR: 'BACKUP_LOCAL_DIR',
      backup_local_dir: 'BACKUP_LOCAL_DIR',
      BACKUP_KEEP_DALIY: 'BACKUP_KEEP_DAILY',
    };
    for (const [typo, meant] of Object.entries(typos)) {
      const { problems } = read({ ...localOnly, [typo]: 'x' });
      assert.equal(problems.length, 1, typo);
      assert.equal(problems[0]?.variable, typo);
      assert.match(problems[0].remedy, new RegExp(`Write ${meant},`));
    }
  });

  it('stops at a name that is ours but for what an env file left around it', () => {
    for (const name of [
      'export BACKUP_AGE_RECIPIENTS',
      'EXPORT BACKUP_AGE_RECIPIENTS',
      'set BACKUP_AGE_RECIPIENTS',
      'declare -x BACKUP_AGE_RECIPIENTS',
      'BACKUP_AGE_RECIPIENTS ',
      ' BACKUP_AGE_RECIPIENTS',
      '\tBACKUP_AGE_RECIPIENTS',
      '\u00A0BACKUP_AGE_RECIPIENTS',
      '\u200BBACKUP_AGE_RECIPIENTS',
      '\uFEFFBACKUP_AGE_RECIPIENTS',
      '"BACKUP_AGE_RECIPIENTS"',
      "'BACKUP_AGE_RECIPIENTS'",
      '- BACKUP_AGE_RECIPIENTS',
      '$BACKUP_AGE_RECIPIENTS',
      'BACKUP_AGE_RECIPIENTS:',
      'export backup_age_recipients',
      'export BACKUP_AGE_RECIPIENTS_FILE',
    ]) {
      const { problems, settings } = read({ ...localOnly, [name]: 'age1x' });
      assert.equal(settings, null, name);
      assert.match(problems[0]?.remedy ?? '', /Write the line as BACKUP_AGE_RECIPIENTS(_FILE)?=…/, name);
      assert.doesNotMatch(problems[0]?.variable ?? '', /[^\x20-\x7e]/);
    }
    for (const name of [
      'BACKUP-AGE-RECIPIENTS',
      'export BACKUP_AGE_RECIPIENT',
      'BACKUP AGE RECIPIENTS',
      'Backup_Age_Recipients',
    ])
      assert.equal(read({ ...localOnly, [name]: 'age1x' }).settings, null, name);
  });

  it("warns of Mastodon's names with something around them, which Mastodon ignores too", () => {
    const { warnings, settings } = read({ ...localOnly, 'export DB_PASS': 'x' });
    assert.notEqual(settings, null);
    assert.match(warnings.join(), /export DB_PASS is not DB_PASS; it is ignored, here as in Mastodon/);
    // Without its name an instance is another one to its own snapshots.
    assert.match(
      read({ ...localOnly, 'export LOCAL_DOMAIN': 'x' }).warnings.join(),
      /export LOCAL_DOMAIN is not LOCAL_DOMAIN; it is ignored, here as in Mastodon/,
    );
    assert.match(
      read({ ...localOnly, 'HTTPS_PROXY ': 'x' }).warnings.join(),
      /HTTPS_PROXY ?'? is not HTTPS_PROXY; it is ignored$/,
    );
  });

  it('only warns about a name that is close to none, which a newer version may know', () => {
    const { settings, warnings } = read({ ...localOnly, BACKUP_QUANTUM_FLUX: '1', BACKUP_S3_OBJECT_LOCK_MODE: 'x' });
    assert.notEqual(settings, null);
    assert.equal(warnings.length, 2);
    assert.match(warnings[0] ?? '', /BACKUP_QUANTUM_FLUX is not a setting/);
  });

  it('leaves the variables of others alone', () => {
    const others = { S3_BUCKET: 'x', AWS_REGION: 'x', BUNDLE_PATH: 'x', BASH_VERSION: '5', BIND: 'x', PATH: 'x' };
    assert.deepEqual(read({ ...localOnly, ...others }).warnings, []);
    assert.deepEqual(read({ ...localOnly, ...others }).problems, []);
  });

  it('keeps known names far enough apart to tell them', () => {
    for (const name of variableNames) assert.equal(closestName(name, variableNames), name);
  });

  it('counts a swap of neighbours as one edit', () => {
    assert.equal(editDistance('ab', 'ba'), 1);
    assert.equal(editDistance('', 'abc'), 3);
    assert.equal(editDistance('kitten', 'sitting'), 3);
  });

  it('measures a distance that is symmetric, and zero only for the same text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        const distance = editDistance(a, b);
        return (
          distance === editDistance(b, a) && (distance === 0) === (a === b) && distance <= Math.max(a.length, b.length)
        );
      }),
    );
  });
});
