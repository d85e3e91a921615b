// Sizes as settings have them. The unit must be written and is binary: `64M` means three different things to three programs.

import { ValueError } from './problem.ts';

const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const;
const largestBytes = 1024 * units.TiB;

/** `64MiB 2GiB` → bytes, from 1 MiB to 1024 TiB. Throws `ValueError`. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15})(B|KiB|MiB|GiB|TiB)$/.exec(text);
  if (match === null) {
    throw new ValueError('not a size', {
      remedy: "Write a whole number and one of KiB, MiB, GiB, TiB, such as '512MiB'",
    });
  }
  const bytes = Number(match[1]) * units[match[2] as keyof typeof units];
  if (bytes < units.MiB || bytes > largestBytes) {
    throw new ValueError('out of range', { remedy: "Write a size from '1MiB' to '1024TiB'" });
  }
  return bytes;
}
