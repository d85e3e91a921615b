import assert from 'node:assert/strict';
import { it } from 'node:test';
import { runCommand } from '../support/command.ts';

const ours = {
  BACKUP_S3_BUCKET: 'social',
  BACKUP_S3_ACCESS_KEY_ID: 'id',
  BACKUP_S3_SECRET_ACCESS_KEY: 'secret-secret',
};

for (const [name, media, backup, refused] of [
  [
    'the same R2 endpoint',
    { S3_ENDPOINT: 'https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com/' },
    { BACKUP_R2_ACCOUNT_ID: '0123456789abcdef0123456789abcdef' },
    true,
  ],
  [
    'another R2 account',
    { S3_ENDPOINT: 'https://f123456789abcdef0123456789abcdef.r2.cloudflarestorage.com' },
    { BACKUP_R2_ACCOUNT_ID: '0123456789abcdef0123456789abcdef' },
    false,
  ],
  [
    'AWS by region',
    { S3_REGION: 'eu-west-1', S3_HOSTNAME: 's3-eu-west-1.amazonaws.com' },
    { BACKUP_S3_REGION: 'eu-west-1' },
    true,
  ],
  [
    'a host with the bucket in front',
    { S3_ENDPOINT: 'https://social.minio.example' },
    { BACKUP_S3_ENDPOINT: 'https://minio.example' },
    true,
  ],
  [
    'another port of the same host',
    { S3_ENDPOINT: 'http://minio:9000' },
    { BACKUP_S3_ENDPOINT: 'http://minio:9001' },
    false,
  ],
] as const) {
  it(`the media bucket is ${refused ? 'refused' : 'not mistaken'} on ${name}`, async () => {
    const result = await runCommand(['config'], { ...ours, ...media, ...backup, S3_BUCKET: 'social' });
    assert.equal(result.status, refused ? 2 : 0, result.stderr);
    if (refused) assert.match(result.stderr, /media bucket.*that bucket is public/);
  });
}
