// The bucket: the parts of its address, each of which says what belongs elsewhere (people paste the address of the whole
// bucket), its defaults by provider, and all that contradicts itself. AWS_* and S3_* belong to Mastodon's media and are not
// looked at.

import { isIP } from 'node:net';
import type { Environment } from './environment.ts';
import { readProxy, type ProxySettings } from './proxy.ts';
import { ValueError } from './problem.ts';
import type { Findings } from './reader.ts';
import type { Values } from './table.ts';
import { hasControlCharacter, parseText } from './values.ts';

/** How a bucket's provider behaves; it decides defaults, limits and whether reading back costs money. */
export type S3Profile = 'r2' | 'aws' | 'other';

/** A bucket on R2 or any S3. */
export interface S3Settings {
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Origin without a slash at its end; null: AWS's own for the region. Path style whenever it is set. */
  readonly endpoint: string | null;
  readonly region: string;
  /** Empty, or a folder with one slash at its end. */
  readonly prefix: string;
  /** Parts in flight. */
  readonly concurrency: number;
  /** The proxy that leads there; left out: none. */
  readonly proxy?: ProxySettings;
  /** For how many days what is stored is locked; left out: it is not. */
  readonly objectLockDays?: number;
  readonly profile: S3Profile;
}

const required = ['BACKUP_S3_BUCKET', 'BACKUP_S3_ACCESS_KEY_ID', 'BACKUP_S3_SECRET_ACCESS_KEY'] as const;
const optional = ['BACKUP_R2_ACCOUNT_ID', 'BACKUP_R2_JURISDICTION', 'BACKUP_S3_ENDPOINT', 'BACKUP_S3_REGION'] as const;

/** Whether any setting of a bucket is there, be it broken or empty: then one is wanted. */
export function wantsBucket(environment: Environment): boolean {
  return (
    [...required, ...optional].some((name) => ['set', 'broken'].includes(environment.status(name))) ||
    environment.status('BACKUP_S3_BUCKET') === 'empty'
  );
}

/** The bucket, or null when none is wanted or something is wrong with it, which goes into `findings`. */
export function readS3Settings(
  values: Values,
  { environment, findings }: { readonly environment: Environment; readonly findings: Findings },
): S3Settings | null {
  if (!wantsBucket(environment)) {
    for (const name of ['BACKUP_S3_PREFIX', 'BACKUP_S3_CONCURRENCY', 'BACKUP_S3_OBJECT_LOCK_DAYS'] as const) {
      if (environment.status(name) === 'set') findings.warnings.push(`${name} has no effect without BACKUP_S3_BUCKET`);
    }
    return null;
  }
  const missing = required.filter((name) => {
    const status = environment.status(name);
    return status === 'unset' || (status === 'empty' && name !== 'BACKUP_S3_BUCKET');
  });
  for (const variable of missing) {
    const problem = 'missing, while other settings of a bucket are set';
    const remedy = 'Set bucket, access key id and secret access key, or remove all settings of a bucket';
    findings.problems.push({ variable, shownValue: null, problem, remedy });
  }
  const address = readAddress(values, { environment, findings });
  checkKeys(values, { profile: address?.profile, findings });
  const {
    BACKUP_S3_BUCKET: bucket,
    BACKUP_S3_ACCESS_KEY_ID: accessKeyId,
    BACKUP_S3_SECRET_ACCESS_KEY: secretAccessKey,
  } = values;
  if (address === undefined || bucket === undefined || accessKeyId === undefined || secretAccessKey === undefined)
    return null;
  if (address.endpoint !== null && address.endpoint.includes(`://${bucket.toLowerCase()}.`)) {
    findings.warnings.push(
      `BACKUP_S3_ENDPOINT begins with the bucket's name '${bucket}'; write the host alone, the bucket is added to the path`,
    );
  }
  const proxy = readProxy((name) => environment.get(name)?.text);
  const objectLockDays = values.BACKUP_S3_OBJECT_LOCK_DAYS;
  if (objectLockDays !== undefined && address.profile === 'r2') {
    findings.problems.push({
      variable: 'BACKUP_S3_OBJECT_LOCK_DAYS',
      shownValue: String(objectLockDays),
      problem: 'R2 has no Object Lock',
      remedy:
        "Remove it, and make a bucket lock rule in Cloudflare's dashboard (R2, the bucket, Settings, Bucket lock rules)",
    });
  }
  return {
    bucket,
    accessKeyId,
    secretAccessKey,
    ...address,
    prefix: values.BACKUP_S3_PREFIX ?? '',
    concurrency: values.BACKUP_S3_CONCURRENCY ?? (address.profile === 'r2' ? 2 : 4),
    ...(objectLockDays === undefined ? {} : { objectLockDays }),
    ...(proxy === null ? {} : { proxy }),
  };
}

function readAddress(
  values: Values,
  { environment, findings }: { readonly environment: Environment; readonly findings: Findings },
): Pick<S3Settings, 'endpoint' | 'profile' | 'region'> | undefined {
  const report = (variable: string, texts: { readonly problem: string; readonly remedy: string }): void => {
    findings.problems.push({ variable, shownValue: null, ...texts });
  };
  const account = values.BACKUP_R2_ACCOUNT_ID;
  const jurisdiction = values.BACKUP_R2_JURISDICTION;
  const given = values.BACKUP_S3_ENDPOINT;
  const isSet = (name: string): boolean => environment.status(name) === 'set' || environment.status(name) === 'broken';
  if (isSet('BACKUP_R2_ACCOUNT_ID') && isSet('BACKUP_S3_ENDPOINT')) {
    report('BACKUP_S3_ENDPOINT', {
      problem: 'set together with BACKUP_R2_ACCOUNT_ID, which builds the endpoint',
      remedy: 'Keep one of them',
    });
    return undefined;
  }
  if (isSet('BACKUP_R2_JURISDICTION') && !isSet('BACKUP_R2_ACCOUNT_ID')) {
    report('BACKUP_R2_JURISDICTION', {
      problem: 'has no meaning without BACKUP_R2_ACCOUNT_ID',
      remedy: 'Set the account id, or remove it',
    });
  }
  // One that is set but wrong is reported already; guessing AWS in its place would only add a second, false problem.
  if (
    (isSet('BACKUP_R2_ACCOUNT_ID') && account === undefined) ||
    (isSet('BACKUP_S3_ENDPOINT') && given === undefined)
  ) {
    return undefined;
  }
  const host =
    account === undefined
      ? given?.hostname
      : `${account}${jurisdiction === undefined ? '' : `.${jurisdiction}`}${r2Domain}`;
  const profile = profileOf(host);
  const region = values.BACKUP_S3_REGION ?? { r2: 'auto', other: 'us-east-1', aws: undefined }[profile];
  if (profile === 'aws' && (region === undefined || region === 'auto')) {
    if (region === undefined && isSet('BACKUP_S3_REGION')) return undefined;
    report('BACKUP_S3_REGION', {
      problem: region === undefined ? 'missing, and AWS needs it' : "there is no region 'auto' on AWS",
      remedy:
        "Write the bucket's region, such as 'eu-central-1'; for a bucket elsewhere set BACKUP_R2_ACCOUNT_ID or BACKUP_S3_ENDPOINT",
    });
  }
  if (given?.protocol === 'http:' && !isNearby(given)) {
    findings.warnings.push(
      'BACKUP_S3_ENDPOINT is plain http to another network: what is not encrypted can be read on its way; write https://',
    );
  }
  if (region === undefined) return undefined;
  return { endpoint: account === undefined ? (given?.origin ?? null) : `https://${host}`, profile, region };
}

const r2Domain = '.r2.cloudflarestorage.com';

function profileOf(host: string | undefined): S3Profile {
  if (host === undefined) return 'aws';
  if (host.endsWith(r2Domain)) return 'r2';
  return /(?:^|\.)amazonaws\.com(?:\.cn)?$/.test(host) ? 'aws' : 'other';
}

// The two are easily pasted into each other's place; the provider would only say "signature does not match".
function checkKeys(
  values: Values,
  { profile, findings }: { readonly profile: S3Profile | undefined; readonly findings: Findings },
): void {
  const id = values.BACKUP_S3_ACCESS_KEY_ID ?? '';
  const secret = values.BACKUP_S3_SECRET_ACCESS_KEY ?? '';
  const onAws = /^A(?:KIA|SIA)[A-Z0-9]{16}$/.test(secret) && id.length === 40;
  const onR2 = profile === 'r2' && /^[0-9a-f]{64}$/.test(id) && /^[0-9a-f]{32}$/.test(secret);
  if (!onAws && !onR2) return;
  findings.problems.push({
    variable: 'BACKUP_S3_ACCESS_KEY_ID',
    shownValue: '[hidden]',
    problem: 'looks like the secret, and BACKUP_S3_SECRET_ACCESS_KEY like the key id',
    remedy: 'Exchange the two',
  });
}

const longestPrefixBytes = 512;

/** An S3 endpoint: scheme, host and port, nothing else. Throws `ValueError`. */
export function parseEndpoint(text: string): URL {
  const remedy =
    "Write 'https://' and the host alone; the bucket goes into BACKUP_S3_BUCKET, a folder into BACKUP_S3_PREFIX";
  const url = URL.parse(parseText(text));
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ValueError('not a web address', {
      remedy: "Write a URL such as 'https://s3.example.com' or 'http://minio:9000'",
    });
  }
  if (url.username !== '' || url.password !== '') {
    throw new ValueError('holds credentials', {
      remedy: 'Write them into BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY',
      hideValue: true,
    });
  }
  if (/[?#]/.test(text)) throw new ValueError('an endpoint has no query', { remedy, hideValue: true });
  if (url.pathname !== '/') throw new ValueError('an endpoint has no path', { remedy });
  if (url.hostname.endsWith('.r2.dev')) {
    throw new ValueError("r2.dev is a bucket's public address, which cannot be written to", {
      remedy: 'Remove it and set BACKUP_R2_ACCOUNT_ID',
    });
  }
  return url;
}

/** Whether an endpoint is on this machine or, by its name or address, on a network of one's own. */
export function isNearby(endpoint: URL): boolean {
  const host = endpoint.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) === 4) return /^(?:127|10)\.|^192\.168\.|^172\.(?:1[6-9]|2\d|3[01])\.|^169\.254\./.test(host);
  if (isIP(host) === 6) return /^(?:::1$|f[cd]|fe[89ab])/i.test(host);
  return !host.includes('.') || /\.(?:local|localhost|internal|lan|home\.arpa)$/.test(host);
}

/** A bucket's name by the general rules of S3. Throws `ValueError`. */
export function parseBucket(text: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$/i.test(text)) {
    throw new ValueError('not a bucket name', {
      remedy: "Write the bucket's name alone, 3 to 63 letters, digits, '-' and '.', without s3:// and without a path",
    });
  }
  return text;
}

/** A region's name. Throws `ValueError`. */
export function parseRegion(text: string): string {
  if (!/^[\w.-]{1,64}$/.test(text)) {
    throw new ValueError('not a region', { remedy: "Write a region such as 'eu-central-1'" });
  }
  return text;
}

/** A folder in the bucket: no leading slash, one at its end; empty for the bucket's root. Throws `ValueError`. */
export function parsePrefix(text: string): string {
  const remedy = "Write a folder such as 'social.example'";
  if (hasControlCharacter(text)) throw new ValueError('holds a control character', { remedy });
  const parts = text.split('/').filter((part) => part !== '');
  if (parts.some((part) => part === '.' || part === '..')) throw new ValueError("holds '.' or '..'", { remedy });
  if (text.includes('\\') || text.includes('://')) throw new ValueError('not a folder in a bucket', { remedy });
  const prefix = parts.map((part) => `${part}/`).join('');
  if (Buffer.byteLength(prefix) > longestPrefixBytes) throw new ValueError('too long', { remedy });
  return prefix;
}

/** A Cloudflare account id, in lower case. Throws `ValueError`. */
export function parseAccountId(text: string): string {
  if (!/^[0-9a-f]{32}$/i.test(text)) {
    throw new ValueError('not a Cloudflare account id', {
      remedy: 'Write the 32 hexadecimal digits that the R2 page of the dashboard shows as Account ID',
    });
  }
  return text.toLowerCase();
}
