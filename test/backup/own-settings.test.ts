import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { generateX25519Identity } from 'age-encryption';
import { encodeOwnSettings } from '../../src/backup/own-settings.ts';
import { createEnvironment } from '../../src/config/environment.ts';
import { variableNames, variables } from '../../src/config/table.ts';
import { readAsCompose } from '../support/compose-env-file.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

it('the own settings travel as they were written, files by their path, and no secret with them', async () => {
  using folder = temporaryDirectory();
  const file = path.join(folder.path, 'key');
  const marker = 'HiddenSecret';
  writeFileSync(file, `${marker}\n`);
  const identity = await generateX25519Identity();
  const secrets = variableNames.filter((name) => variables[name].secret === true);
  const given = {
    ...Object.fromEntries(secrets.map((name) => [name, `${marker}-${name}`])),
    LOCAL_DOMAIN: 'social.example',
    BACKUP_S3_BUCKET: `it's "a" $bucket`,
    BACKUP_TRUSTED_SIGNERS: `ssh-ed25519 ${'A'.repeat(300)} one\nssh-ed25519 BBBB two`,
    BACKUP_LOCAL_DIR: '',
    // A private key in the place of a public one, and a password in an address that has no place for one.
    BACKUP_AGE_RECIPIENTS: identity,
    BACKUP_S3_ENDPOINT: `https://user:${marker}@s3.example`,
  };
  const { BACKUP_S3_SECRET_ACCESS_KEY: _key, ...variablesOfOurs } = given as Record<string, string>;
  const environment = createEnvironment({ ...variablesOfOurs, BACKUP_S3_SECRET_ACCESS_KEY_FILE: file }, { uid: 0 });
  const text = encodeOwnSettings(environment).toString();
  assert.ok(!text.includes(marker) && !text.includes(identity), text);
  assert.deepEqual(readAsCompose(text), {
    BACKUP_S3_BUCKET: given.BACKUP_S3_BUCKET,
    BACKUP_S3_SECRET_ACCESS_KEY_FILE: file,
    BACKUP_TRUSTED_SIGNERS: given.BACKUP_TRUSTED_SIGNERS,
  });
  for (const name of ['BACKUP_AGE_RECIPIENTS', 'BACKUP_S3_ENDPOINT', 'BACKUP_SIGNING_KEY'])
    assert.match(text, new RegExp(`^# Set again .*\\b${name}\\b`, 'm'));
});
