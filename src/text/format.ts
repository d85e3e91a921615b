// Figures for people, each in one way: sizes, spans of time. Two that are written alike can be compared at a glance,
// and nobody has to find out whether a "MB" is another one here.

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
const mib = 2 ** 20;

/** `1536` → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  let power = 0;
  // What would be written as 1024.0 is 1.0 of the next.
  while (power < units.length - 1 && Number((bytes / 1024 ** power).toFixed(1)) >= 1024) power += 1;
  const value = bytes / 1024 ** power;
  return `${power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** Whole MiB, as memory and parts are planned; what is not nothing is at least one. */
export function formatMiB(bytes: number): string {
  return `${Math.max(bytes > 0 ? 1 : 0, Math.round(bytes / mib))} MiB`;
}

/** Milliseconds that were measured, as `4.2 s`, `42 s`, `3 min 20 s` or `2 h 5 min`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 60) return `${milliseconds < 9_950 ? (milliseconds / 1_000).toFixed(1) : seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`;
}

/** Milliseconds that were set, or that need not be exact, in one unit: `90 s`, `10 min`, `2.5 h`, `7 d`. */
export function formatSpan(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1_000);
  if (seconds < 120) return `${seconds} s`;
  const [size, unit] =
    seconds < 7_200 ? ([60, 'min'] as const) : seconds < 172_800 ? ([3_600, 'h'] as const) : ([86_400, 'd'] as const);
  return `${Number((seconds / size).toFixed(1))} ${unit}`;
}
