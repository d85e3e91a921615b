// What S3 and R2 limit, in one place (S3 "Multipart upload limits", R2 "Limits"). A number that is wrong here shows itself
// only hours into an upload.

/** The most parts of one multipart upload, but for the few stores that take fewer. */
export const maxParts = 10_000;

/** By the end of their host names, those that take fewer (Scaleway, "Managing multipart uploads"). */
const fewerParts: Readonly<Record<string, number>> = { '.scw.cloud': 1_000 };

/** The most parts of one multipart upload at this endpoint; null: AWS's own. */
export function maxPartsAt(endpoint: string | null): number {
  const host = endpoint === null ? '' : new URL(endpoint).hostname;
  return Object.entries(fewerParts).find(([end]) => host.endsWith(end))?.[1] ?? maxParts;
}

/** The largest part, and the largest object that one request copies: 5 GiB. */
export const maxPartBytes = 5 * 1024 ** 3;

/** The largest object: 5 TB. */
export const maxObjectBytes = 5_000_000_000_000;
