// What S3 and R2 limit, in one place (S3 "Multipart upload limits", R2 "Limits"). A number that is wrong here shows itself
// only hours into an upload.

/** The most parts of one multipart upload. */
export const maxParts = 10_000;

/** The largest part, and the largest object that one request copies: 5 GiB. */
export const maxPartBytes = 5 * 1024 ** 3;

/** The largest object: 5 TB. */
export const maxObjectBytes = 5_000_000_000_000;
