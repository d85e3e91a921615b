// The verbs as files, each loaded when it is first wanted: a healthcheck starts the program every minute for years, and needs of
// what can dump, restore and upgrade nothing at all.

/** Where each is. */
export const verbs = {
  adopt: async () => import('./adopt-verb.ts'),
  baseBackups: async () => import('./base-backups.ts'),
  chainPruning: async () => import('./chain-pruning.ts'),
  compare: async () => import('./compare-verb.ts'),
  config: async () => import('./config-verb.ts'),
  daemon: async () => import('./daemon-verbs.ts'),
  doctor: async () => import('./doctor-verb.ts'),
  drill: async () => import('./drill-verb.ts'),
  dueDrill: async () => import('./due-drill.ts'),
  health: async () => import('./health-verb.ts'),
  keygen: async () => import('./keygen-verb.ts'),
  lifecycle: async () => import('./lifecycle-verb.ts'),
  logFollowing: async () => import('./log-following.ts'),
  mend: async () => import('./mend-verb.ts'),
  momentDrill: async () => import('./moment-drill.ts'),
  moment: async () => import('./moment-verb.ts'),
  notify: async () => import('./notify-verb.ts'),
  open: async () => import('./open-verb.ts'),
  pin: async () => import('./pin-verb.ts'),
  pitrStatus: async () => import('./pitr-status-verb.ts'),
  pitrVerify: async () => import('./pitr-verify-verb.ts'),
  placeWatch: async () => import('./place-watch.ts'),
  prune: async () => import('./prune-verb.ts'),
  reading: async () => import('./reading-verbs.ts'),
  recoveryKit: async () => import('./recovery-kit-verb.ts'),
  remembered: async () => import('./remembered.ts'),
  restore: async () => import('./restore-verb.ts'),
  run: async () => import('./run-verb.ts'),
  scratch: async () => import('./scratch.ts'),
  status: async () => import('./status-verb.ts'),
  upgradeCheck: async () => import('./upgrade-check.ts'),
  upgrade: async () => import('./upgrade-verb.ts'),
} as const;

/** Loads all of them: what runs for weeks must not find other files where the program was, when somebody has replaced it since. */
export async function loadVerbs(): Promise<void> {
  await Promise.all(Object.values(verbs).map(async (load): Promise<unknown> => load()));
}
