// The settings that say where backups go: a bucket on R2 or any S3, a directory, or both from the same dump.

import { parseAccountId, parseBucket, parseEndpoint, parsePrefix, parseRegion } from './s3-values.ts';
import { parseDestinationDirectory, parseInteger, parseText, parseWord } from './values.ts';
import { rowsOf } from './variable.ts';

const row = rowsOf('destination');

/** The settings of the section by name. */
export const destinationVariables = {
  BACKUP_S3_BUCKET: row({
    parse: parseBucket,
    preset: null,
    emptyIsError: true,
    doc: "a bucket for backups alone; Mastodon's media bucket is refused, because it is public",
  }),
  BACKUP_S3_ACCESS_KEY_ID: row({
    parse: parseText,
    preset: null,
    doc: 'access key that may read, write, list and delete objects in that bucket',
  }),
  BACKUP_S3_SECRET_ACCESS_KEY: row({
    parse: parseText,
    preset: null,
    secret: true,
    doc: 'its secret; better as a file, in `BACKUP_S3_SECRET_ACCESS_KEY_FILE`',
  }),
  BACKUP_R2_ACCOUNT_ID: row({
    parse: parseAccountId,
    preset: null,
    doc: 'Cloudflare account id; builds the R2 endpoint',
  }),
  BACKUP_R2_JURISDICTION: row({
    parse: parseWord('eu', 'fedramp'),
    preset: null,
    presetNote: 'empty',
    doc: "the bucket's jurisdiction on R2: `eu`, `fedramp` or empty",
  }),
  BACKUP_S3_ENDPOINT: row({
    parse: parseEndpoint,
    preset: null,
    presetNote: 'AWS',
    doc: 'endpoint of any other S3, such as `https://s3.example.com`; path style is used whenever an endpoint is set',
  }),
  BACKUP_S3_REGION: row({
    parse: parseRegion,
    preset: null,
    presetNote: '`auto` on R2, `us-east-1` with another endpoint',
    doc: 'region; required on AWS',
  }),
  BACKUP_S3_PREFIX: row({
    parse: parsePrefix,
    preset: null,
    presetNote: 'empty',
    doc: 'a folder in the bucket, for several instances in one',
  }),
  BACKUP_S3_CONCURRENCY: row({
    parse: parseInteger(1, 64),
    preset: null,
    presetNote: '`2` on R2, `4` elsewhere',
    doc: 'parts in flight',
  }),
  BACKUP_LOCAL_DIR: row({
    parse: parseDestinationDirectory,
    preset: null,
    emptyIsError: true,
    doc: 'a mounted disk or NAS; alone or as second copy',
  }),
} as const;
