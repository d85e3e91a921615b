// ETags as servers answer them. One that only looks like an MD5 would make a good backup fail its verification.

/**
 * The ETag of an answer, without quotes; null where there is none, where it is a weak one, which says nothing of the bytes and
 * which no condition takes (RFC 9110, 8.8.1; a proxy that compresses makes them), or where it is no MD5 though it has the form of one: of
 * objects that are encrypted with keys of KMS or of the customer (S3 "Checking object integrity").
 */
export function etagOf(answer: {
  readonly ETag?: string | undefined;
  readonly ServerSideEncryption?: string | undefined;
  readonly SSECustomerAlgorithm?: string | undefined;
}): string | null {
  const opaque =
    answer.ServerSideEncryption?.startsWith('aws:kms') === true || answer.SSECustomerAlgorithm !== undefined;
  if (opaque || answer.ETag === undefined || /^W\//i.test(answer.ETag)) return null;
  const etag = answer.ETag.replaceAll('"', '');
  // Ceph 16 answers the end of a multipart upload with an empty one.
  return etag === '' ? null : etag;
}
