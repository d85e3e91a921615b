// Parsers for the parts of a bucket's address. What people paste here is often the whole address of the bucket; each says
// which part belongs where.

import { isIP } from 'node:net';
import { ValueError } from './problem.ts';
import { hasControlCharacter, parseText } from './values.ts';

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
