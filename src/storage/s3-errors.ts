// What an S3 server or the network said, in words an administrator can act on. The SDK's own texts ("UnknownError",
// "SignatureDoesNotMatch: …") leave them searching.

import { AppError, describeError } from '../errors.ts';
import { ForeignAnswer } from './s3-answers.ts';
import { remedies } from './s3-remedies.ts';

interface ServiceError {
  /** Where the bucket is, in some refusals. */
  readonly Region?: string;
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
}

/** Names that say nothing. */
const emptyNames = ['Error', 'Unknown', 'UnknownError'];

/**
 * The error for a failed action; an `AppError` stays what it is. `right`, such as `s3:ListBucket`, is what the token needs for it.
 * `isOfProxy`: it failed on the way to the proxy. Messages never hold a key.
 */
export function s3Error(
  error: unknown,
  {
    action,
    right,
    isOfProxy = false,
  }: { readonly action: string; readonly right?: string; readonly isOfProxy?: boolean },
): AppError {
  if (error instanceof AppError) return error;
  const service = error as ServiceError;
  const status = service.$metadata?.httpStatusCode;
  const attempts = service.$metadata?.attempts ?? 1;
  const tried = attempts > 1 ? ` after ${attempts} attempts` : '';
  if (isOfProxy) {
    return new AppError('store', `${action}${tried}: the proxy cannot be reached (${describeError(error)})`, {
      cause: error,
      reason: 'unreachable',
      hint: 'Check HTTPS_PROXY and HTTP_PROXY, or name the endpoint in NO_PROXY: by its name, its address or a range such as 10.0.0.1-10.0.0.254, for 10.0.0.0/8 is none to Node.',
    });
  }
  const isGarbled = /XML parse error|Deserialization error/.test(describeError(error));
  const foreign = error instanceof ForeignAnswer ? error : isGarbled ? toForeignAnswer(status) : null;
  if (foreign !== null) {
    const { says, hint, reason } = foreign;
    return new AppError('store', `${action}${tried}: ${says}`, { cause: error, reason, hint });
  }
  // The SDK's complaint about what is no XML says nothing of the store.
  const words = isGarbled ? [] : [service.name, service.code, service.message];
  const region = regionOf(service);
  // Also where the answer has no other word.
  const text = region === undefined ? words.filter((part) => part !== undefined).join(' ') : 'PermanentRedirect';
  const answers = (codes: readonly number[] | undefined): boolean =>
    status !== undefined && codes?.includes(status) === true;
  const remedy = remedies.find((one) => one.when.test(text) || answers(one.status));
  const said = [...new Set(isGarbled ? [status] : [service.name, status, describeError(error)])]
    .filter((part) => part !== undefined && !emptyNames.includes(String(part)))
    .join(', ');
  const unknown = said === String(status) ? `it answers with status ${said}, and does not say why` : said;
  const missing = right !== undefined && remedy?.says === 'access is denied';
  return new AppError('store', `${action}${tried}: ${remedy === undefined ? unknown : `${remedy.says} (${said})`}`, {
    cause: error,
    reason: remedy?.reason,
    hint: missing
      ? `Give the token the right to read, write and delete objects in this bucket, and to list it (${right}); and check its address filter.`
      : region === undefined
        ? (remedy?.hint ?? 'Check BACKUP_S3_ENDPOINT and BACKUP_S3_BUCKET, and look up this answer with the provider.')
        : `Set BACKUP_S3_REGION=${region}; on AWS no endpoint is needed.`,
  });
}

// Of an answer that is no XML; what fails on the other side, or asks for less, says enough by its status.
function toForeignAnswer(status: number | undefined): ForeignAnswer | null {
  if (status !== undefined && (status >= 500 || saysEnough.includes(status))) return null;
  return new ForeignAnswer({ status: status ?? null, kind: 'unknown' });
}

const saysEnough: readonly number[] = [402, 411, 413, 429];

// A store that refuses for its region may say the right one; it also says it where something else is wrong.
function regionOf({ Region, $response, $metadata }: ServiceError): string | undefined {
  const status = $metadata?.httpStatusCode ?? 0;
  const region = Region ?? (status >= 300 && status < 400 ? $response?.headers?.['x-amz-bucket-region'] : undefined);
  return region !== undefined && /^[a-z0-9-]{2,40}$/i.test(region) ? region : undefined;
}

/** Whether the server said that there is no such object; a 403 or 5xx never is. */
export function isNotFound(error: unknown): boolean {
  const { name, $metadata } = error as ServiceError;
  return $metadata?.httpStatusCode === 404 && name !== 'NoSuchBucket' && !(error instanceof ForeignAnswer);
}

/** Whether the server refused. */
export function isRefused(error: unknown): boolean {
  return (error as ServiceError).$metadata?.httpStatusCode === 403 && !(error instanceof ForeignAnswer);
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
