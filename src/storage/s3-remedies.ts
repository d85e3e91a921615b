// The table of what S3 servers, proxies and networks say, with what it means and what helps. An answer that is not here is told
// as it came, and leaves an administrator searching.

import type { ErrorReason } from '../errors.ts';

/** What an answer means. */
export interface Remedy {
  /** What the error is called, or says. */
  readonly when: RegExp;
  /** Or the status of an answer that says nothing else; never looked for in words, where a key may hold any digits. */
  readonly status?: readonly number[];
  readonly reason: ErrorReason;
  readonly says: string;
  readonly hint: string;
}

/** What an answer means, the particular before the general. */
export const remedies: readonly Remedy[] = [
  {
    // As Garage and R2 say it too.
    when: /InvalidAccessKeyId|InvalidClientTokenId|InvalidTokenId|Forbidden: No such key|Credential access key has length/,
    reason: 'access-denied',
    says: 'the access key id is unknown',
    hint: 'Check BACKUP_S3_ACCESS_KEY_ID, and that the token belongs to this account (BACKUP_R2_ACCOUNT_ID) or endpoint.',
  },
  {
    when: /SignatureDoesNotMatch|Invalid signature/,
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
    when: /InvalidBucketName/,
    reason: 'misconfigured',
    says: 'no bucket can have this name',
    hint: 'Check BACKUP_S3_BUCKET: its name alone, without an address and without a folder (BACKUP_S3_PREFIX).',
  },
  {
    when: /KeyTooLong/,
    reason: 'misconfigured',
    says: 'the key is too long for the store',
    hint: 'Set a shorter BACKUP_S3_PREFIX.',
  },
  {
    when: /ExpiredToken|TokenExpired|TokenRefreshRequired/,
    reason: 'access-denied',
    says: 'the token has expired',
    hint: 'Make a new one that does not expire, and put it into BACKUP_S3_ACCESS_KEY_ID and BACKUP_S3_SECRET_ACCESS_KEY.',
  },
  {
    when: /AccountProblem|Account(?:Suspended|Disabled)|UserSuspended|NotSignedUp|AllAccessDisabled|Overdue/,
    status: [402],
    reason: 'access-denied',
    says: 'the account is suspended, or was never activated',
    hint: "Look into the provider's console: at bills that are not paid, and whether object storage is switched on.",
  },
  {
    when: /PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocationConstraint|TemporaryRedirect/,
    reason: 'misconfigured',
    says: 'the bucket is in another region or at another endpoint',
    hint: 'Check BACKUP_S3_REGION and BACKUP_S3_ENDPOINT; for an R2 bucket with a jurisdiction set BACKUP_R2_JURISDICTION.',
  },
  {
    when: /RequestTimeTooSkewed|RequestExpired|Request has expired|Date is too old/,
    reason: 'misconfigured',
    says: "this machine's clock is wrong",
    hint: 'Set the clock of the host (timedatectl set-ntp true).',
  },
  {
    when: /(?:storage|transaction|download|bandwidth)[ _]?cap|cap[ _]?exceeded/i,
    reason: 'no-space',
    says: 'a cap of the account is reached',
    hint: "Raise the cap in the provider's console (Backblaze: Caps and Alerts), or wait until it starts anew.",
  },
  {
    when: /QuotaExceeded|XMinioStorageFull|InsufficientStorage/,
    status: [507],
    reason: 'no-space',
    says: 'the storage is full',
    hint: 'Raise the quota or keep fewer backups; older backups are untouched.',
  },
  {
    when: /missing object ?lock ?configuration|ObjectLockConfigurationNotFound/i,
    reason: 'misconfigured',
    says: 'the bucket has no Object Lock',
    hint: 'Make a bucket with Object Lock, or remove BACKUP_S3_OBJECT_LOCK_DAYS.',
  },
  {
    when: /ObjectLocked|object.?lock|WORM.protected|protected by retention/i,
    reason: 'locked',
    says: 'the object is locked',
    hint: 'Wait until its lock has ended; until then nobody can delete it.',
  },
  {
    when: /BadDigest|InvalidDigest|SHA256Mismatch/,
    reason: 'unreachable',
    says: 'what arrived is not what was sent',
    hint: 'Try again; when it repeats, look at what stands between here and the store, and at the memory of this machine.',
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
    when: /ERR_PROXY/,
    reason: 'misconfigured',
    says: 'the proxy lets nothing through to the endpoint',
    hint: 'Check HTTPS_PROXY, with user and password where it asks for them, or name the endpoint in NO_PROXY.',
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
    when: /EPROTO|wrong version number|ERR_SSL|packet length too long/i,
    reason: 'misconfigured',
    says: 'what answers at the endpoint speaks no TLS',
    hint: 'Check the port of BACKUP_S3_ENDPOINT; write http:// if the store is in the same network and has no certificate.',
  },
  {
    when: /HPE_|Parse Error/,
    reason: 'misconfigured',
    says: 'what answers at the endpoint speaks no HTTP',
    hint: 'Write BACKUP_S3_ENDPOINT with https://, or check its port.',
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
    when: /MissingContentLength/,
    status: [411],
    reason: 'misconfigured',
    says: 'the length of what was sent got lost on its way',
    hint: 'Look at the proxy in front of the store: it has to pass Content-Length on and to leave bodies as they are.',
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
    reason: 'changed',
    says: 'another object has taken its place',
    hint: 'Look who else writes into this bucket: mastodon-backup verify.',
  },
  {
    when: /EntityTooLarge|RequestEntityTooLarge/,
    status: [413],
    reason: 'misconfigured',
    says: 'what is sent is too large for the store, or for a proxy in front of it',
    hint: 'Raise the limit of the proxy (nginx: client_max_body_size 0), or have BACKUP_S3_ENDPOINT go past it: parts have 8 MiB and more.',
  },
  {
    when: /InvalidRequest|InvalidArgument/,
    reason: 'misconfigured',
    says: 'the store takes the request for wrong',
    hint: 'With BACKUP_S3_OBJECT_LOCK_DAYS the bucket must have Object Lock; else look up this answer with the provider.',
  },
  {
    when: /NotImplemented|MethodNotAllowed/,
    status: [405, 501],
    reason: 'unsupported',
    says: 'the store does not know this request',
    hint: 'Check BACKUP_S3_ENDPOINT, and which parts of S3 the store has.',
  },
  {
    when: /SlowDown|TooManyRequests|RequestLimitExceeded|Throttl/i,
    status: [429],
    reason: 'overloaded',
    says: 'the store asks for fewer requests',
    hint: 'Lower BACKUP_S3_CONCURRENCY, or back up at another hour; if it stays so, ask the provider for the limits of the account.',
  },
  {
    when: /NetworkAuthenticationRequired/,
    status: [511],
    reason: 'misconfigured',
    says: 'the network asks for a login first',
    hint: 'Log in where its page says, or have this machine let through without.',
  },
  {
    when: /error code: 1\d\d\d/,
    status: [520, 521, 522, 523, 524, 525, 526, 527, 530],
    reason: 'unreachable',
    says: 'a proxy in front of the store gets no answer from it',
    hint: 'Look whether the store runs, and at the proxy (Cloudflare); or have BACKUP_S3_ENDPOINT go past it.',
  },
  {
    when: /ServiceUnavailable|InternalError/,
    status: [500, 502, 503, 504],
    reason: 'overloaded',
    says: 'the store answers with errors of its own',
    hint: "Look at the provider's status page; on R2 a lower BACKUP_S3_CONCURRENCY can help.",
  },
];
