// What an S3 server or the network said, in words an administrator can act on. The SDK's own texts ("UnknownError",
// "SignatureDoesNotMatch: …") leave them searching.

import { AppError, describeError } from '../errors.ts';
import { ForeignAnswer } from './s3-answers.ts';
import { remedies } from './s3-remedies.ts';

interface ServiceError {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number; readonly attempts?: number };
}

/** Names that say nothing. */
const emptyNames = ['Error', 'Unknown', 'UnknownError'];

/**
 * The error for a failed action; an `AppError` stays what it is. `right`, such as `s3:ListBucket`, is what the token needs for it.
 * Messages never hold a key.
 */
export function s3Error(
  error: unknown,
  { action, right }: { readonly action: string; readonly right?: string },
): AppError {
  if (error instanceof AppError) return error;
  const service = error as ServiceError;
  const status = service.$metadata?.httpStatusCode;
  const attempts = service.$metadata?.attempts ?? 1;
  const tried = attempts > 1 ? ` after ${attempts} attempts` : '';
  const foreign = error instanceof ForeignAnswer ? error : toForeignAnswer(error, status);
  if (foreign !== null) {
    const { says, hint, reason } = foreign;
    return new AppError('store', `${action}${tried}: ${says}`, { cause: error, reason, hint });
  }
  const text = [service.name, service.code, service.message].filter((part) => part !== undefined).join(' ');
  const answers = (codes: readonly number[] | undefined): boolean =>
    status !== undefined && codes?.includes(status) === true;
  const remedy = remedies.find((one) => one.when.test(text) || answers(one.status));
  const said = [...new Set([service.name, status, describeError(error)])]
    .filter((part) => part !== undefined && !emptyNames.includes(String(part)))
    .join(', ');
  const missing = right !== undefined && remedy?.says === 'access is denied';
  return new AppError('store', `${action}${tried}: ${remedy === undefined ? said : `${remedy.says} (${said})`}`, {
    cause: error,
    reason: remedy?.reason,
    hint: missing
      ? `Give the token the right to read, write and delete objects in this bucket, and to list it (${right}); and check its address filter.`
      : (remedy?.hint ?? 'Check BACKUP_S3_ENDPOINT and BACKUP_S3_BUCKET, and look up this answer with the provider.'),
  });
}

// The SDK's complaint about what is no XML.
function toForeignAnswer(error: unknown, status: number | undefined): ForeignAnswer | null {
  if (!/XML parse error|Deserialization error/.test(describeError(error))) return null;
  return new ForeignAnswer({ status: status ?? null, kind: 'unknown' });
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
