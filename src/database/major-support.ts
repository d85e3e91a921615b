// Until when a major version of PostgreSQL gets fixes. A server that is out of support goes on working, and nobody hears that
// its holes are not mended any more: so it is said, once a doctor looks.

/** The last release of each, from https://www.postgresql.org/support/versioning/. */
const finalReleases: Readonly<Record<number, string>> = {
  10: '2022-11-10',
  11: '2023-11-09',
  12: '2024-11-21',
  13: '2025-11-13',
  14: '2026-11-12',
  15: '2027-11-11',
  16: '2028-11-09',
  17: '2029-11-08',
  18: '2030-11-14',
};

const dayMs = 86_400_000;
/** An upgrade wants a quiet weekend; half a year has some. */
const soonMs = 183 * dayMs;

/** How a major version stands: `ended` gets no fixes any more; `until` is the day of its last release, null when it is not known. */
export interface MajorSupport {
  readonly status: 'supported' | 'ends-soon' | 'ended';
  readonly until: string | null;
}

/** How `major` stands at `now`. A version newer than the table is supported; one that is older than it is not. */
export function supportOf(major: number, now: Date): MajorSupport {
  const until = finalReleases[major];
  if (until === undefined) {
    const oldest = Math.min(...Object.keys(finalReleases).map(Number));
    return { status: major < oldest ? 'ended' : 'supported', until: null };
  }
  const leftMs = Date.parse(`${until}T00:00:00Z`) + dayMs - now.getTime();
  return { status: leftMs <= 0 ? 'ended' : leftMs < soonMs ? 'ends-soon' : 'supported', until };
}

/** How the server stands, in words: until when it gets fixes, or that it gets none. */
export function describeSupport(
  { serverMajor, serverVersion }: { readonly serverMajor: number; readonly serverVersion: string },
  now: Date,
): { readonly status: MajorSupport['status']; readonly text: string } {
  const { status, until } = supportOf(serverMajor, now);
  const text = {
    supported: `gets fixes${until === null ? '' : ` until ${until}`}`,
    'ends-soon': `gets fixes only until ${until}`,
    ended: `gets no fixes any more${until === null ? '' : ` (last release ${until})`}`,
  }[status];
  return { status, text: `PostgreSQL ${serverVersion} ${text}` };
}
