// The tiers by name, from the finest to the coarsest. `labelled` holds runs that a person named and nothing prunes.

/** Tiers that `run` takes and schedules exist for. */
export const tiers = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;

/** A scheduled tier. */
export type Tier = (typeof tiers)[number];

/** The folders in which snapshots are kept: the tiers, and runs with a label. */
export const folders = [...tiers, 'labelled'] as const;

/** A folder of snapshots. */
export type Folder = (typeof folders)[number];

/** The tier of that name, or undefined. */
export function asTier(text: string): Tier | undefined {
  return tiers.find((tier) => tier === text);
}

/** The folder of that name, or undefined. */
export function asFolder(text: string): Folder | undefined {
  return folders.find((folder) => folder === text);
}
