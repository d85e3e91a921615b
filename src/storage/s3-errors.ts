// What an S3 server or the network said, in words an administrator can act on. The SDK's own texts ("UnknownError",
// "SignatureDoesNotMatch: …") leave them searching.

import { AppError, describeError, type ErrorReason } from '../errors.ts';

interface ServiceError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
}

const remedies: readonly {
  /** What the error is called, or says. */
  readonly when: RegExp;
  /** Or the status of an answer that says nothing else; never looked for in words, where a key may hold any digits. */
  readonly status?: readonly number[];
  readonly reason: ErrorReason;
  readonly says: string;
  readonly hint: string;
}[] = [
  {
    when: /InvalidAccessKeyId|InvalidClientTokenId/,
    reason: 'access-denied',
    says: 'the access key id is unknown',
    hint: 'Check BACKUP_S3_ACCESS_KEY_ID, and that the token belongs to this account (BACKUP_R2_ACCOUNT_ID) or endpoint.',
  },
  {
    when: /SignatureDoesNotMatch/,
    reason: 'access-denied',
    says: 'the secret access key is wrong',
    hint: 'Check BACKUP_S3_SECRET_ACCESS_KEY, and BACKUP_S3_REGION.',
  },
  {
    when: /NoSuchBucket/,
    reason: 'not-found',
    says: 'there is no such bucket',
    hint: 'Create the bucket, or check BACKUP_S3_BUCKET and BACKUP_R2_ACCOUNT_ID (or BACKUP_S3_ENDPOINT).',
  },
  {
    when: /PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|TemporaryRedirect/,
    reason: 'misconfigured',
    says: 'the bucket is in another region or at another endpoint',
    hint: 'Check BACKUP_S3_REGION and BACKUP_S3_ENDPOINT; for an R2 bucket with a jurisdiction set BACKUP_R2_JURISDICTION.',
  },
  {
    when: /RequestTimeTooSkewed/,
    reason: 'misconfigured',
    says: "this machine's clock is wrong",
    hint: 'Set the clock of the host (timedatectl set-ntp true).',
  },
  {
    when: /QuotaExceeded|XMinioStorageFull|InsufficientStorage|storage cap/,
    status: [507],
    reason: 'no-space',
    says: 'the storage is full',
    hint: 'Raise the quota or keep fewer backups; older backups are untouched.',
  },
  {
    when: /InvalidObjectState/,
    reason: 'archived',
    says: 'the object lies in an archive tier and cannot be read now',
    hint: "Have it restored in the provider's console, and take our prefix out of rules that move objects into Glacier or the like.",
  },
  {
    when: /^KMS\.|kms:|KMSKey/i,
    reason: 'access-denied',
    says: 'the key that the bucket encrypts with may not be used',
    hint: "Give the token the right to use the bucket's KMS key, and see that it is enabled.",
  },
  {
    when: /AccessDenied|Forbidden/,
    status: [403],
    reason: 'access-denied',
    says: 'access is denied',
    hint: 'Give the token the right to read, write and delete objects in this bucket, and check its address filter.',
  },
  {
    when: /Unauthorized/,
    status: [401],
    reason: 'access-denied',
    says: 'the credentials are not accepted',
    hint: 'Check BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY.',
  },
  {
    when: /ENOTFOUND|EAI_AGAIN/,
    reason: 'unreachable',
    says: "the endpoint's name cannot be resolved",
    hint: 'Check BACKUP_S3_ENDPOINT or BACKUP_R2_ACCOUNT_ID, and that this container is on external_network.',
  },
  {
    when: /ECONNREFUSED|EHOSTUNREACH|ENETUNREACH/,
    reason: 'unreachable',
    says: 'nothing answers at the endpoint',
    hint: 'Check BACKUP_S3_ENDPOINT, and that this container is on external_network.',
  },
  {
    when: /CERT_|self.signed|UNABLE_TO_VERIFY|ERR_TLS|certificate/i,
    reason: 'misconfigured',
    says: "the endpoint's certificate is not trusted",
    hint: 'Check BACKUP_S3_ENDPOINT; for a private certificate authority set NODE_EXTRA_CA_CERTS.',
  },
  {
    when: /ECONNRESET|EPIPE|socket hang up|NetworkingError/i,
    reason: 'unreachable',
    says: 'the connection broke off',
    hint: 'Check the network to the store; on R2 a lower BACKUP_S3_CONCURRENCY can help.',
  },
  {
    when: /TimeoutError|ETIMEDOUT|RequestTimeout|timed out/i,
    reason: 'unreachable',
    says: 'the store does not answer in time',
    hint: 'Check the network to the store; the next run starts anew.',
  },
  {
    when: /NoSuchKey|NoSuchUpload|NotFound/,
    status: [404],
    reason: 'not-found',
    says: 'there is no such object',
    hint: 'See what is there with: mastodon-backup list.',
  },
  {
    when: /PreconditionFailed/,
    status: [412],
    reason: 'not-found',
    says: 'another object has taken its place',
    hint: 'Look who else writes into this bucket: mastodon-backup verify.',
  },
  {
    when: /NotImplemented|MethodNotAllowed/,
    status: [405, 501],
    reason: 'unsupported',
    says: 'the store does not know this request',
    hint: 'Check BACKUP_S3_ENDPOINT, and which parts of S3 the store has: mastodon-backup doctor.',
  },
  {
    when: /SlowDown|TooManyRequests|ServiceUnavailable|InternalError/,
    status: [429, 500, 502, 503, 504],
    reason: 'overloaded',
    says: 'the store answers with errors of its own',
    hint: "Look at the provider's status page; on R2 a lower BACKUP_S3_CONCURRENCY can help.",
  },
];

/** The error for a failed action; an `AppError` stays what it is. Messages never hold a key. */
export function s3Error(error: unknown, action: string): AppError {
  if (error instanceof AppError) return error;
  const service = error as ServiceError;
  const status = service.$metadata?.httpStatusCode;
  const attempts = service.$metadata?.attempts ?? 1;
  const text = [service.name, service.code, service.message].filter((part) => part !== undefined).join(' ');
  const answers = (codes: readonly number[] | undefined): boolean =>
    status !== undefined && codes?.includes(status) === true;
  const remedy = remedies.find((one) => one.when.test(text) || answers(one.status));
  const tried = attempts > 1 ? ` after ${attempts} attempts` : '';
  const said = [...new Set([service.name, status, describeError(error)])]
    .filter((part) => part !== undefined)
    .join(', ');
  return new AppError('store', `${action}${tried}: ${remedy === undefined ? said : `${remedy.says} (${said})`}`, {
    cause: error,
    reason: remedy?.reason,
    hint: remedy?.hint ?? 'Check the bucket settings with the command: mastodon-backup doctor.',
  });
}

/** Whether the server said that there is no such object; a 403 or 5xx never is. */
export function isNotFound(error: unknown): boolean {
  const { name, $metadata } = error as ServiceError;
  return $metadata?.httpStatusCode === 404 && name !== 'NoSuchBucket';
}

/** Whether the server does not know the request at all. */
export function isNotImplemented(error: unknown): boolean {
  const { name, $metadata } = error as ServiceError;
  return $metadata?.httpStatusCode === 501 || name === 'NotImplemented' || $metadata?.httpStatusCode === 405;
}

/** Whether a condition such as `If-None-Match: *` was not met. */
export function isPreconditionFailed(error: unknown): boolean {
  return (error as ServiceError).$metadata?.httpStatusCode === 412;
}
