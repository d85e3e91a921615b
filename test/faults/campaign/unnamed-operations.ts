// What the daemon does and no command names: a coarser tier's backup as a copy of a finer one, and a destination's missing
// snapshot from the other.

import { firstError } from '../../../src/backup/first-error.ts';
import type { App } from '../../../src/app/app.ts';

/** Does it once, as the daemon would; the failure of any destination is thrown. */
export async function performUnnamed(
  operation: 'copy' | 'mend',
  { app, signal, write }: { readonly app: App; readonly signal: AbortSignal; readonly write: (text: string) => void },
): Promise<void> {
  if (operation === 'mend') {
    write(`${JSON.stringify({ copied: await app.mend(signal) })}\n`);
    return;
  }
  const report = await app.runScheduled({
    tier: 'weekly',
    slot: new Date(Date.now() - 60_000),
    signal,
    onProgress: () => undefined,
  });
  const destinations = (report?.outcomes ?? []).map(({ kind, destination }) => ({
    store: destination.repository.store.name,
    status: kind,
  }));
  write(`${JSON.stringify({ id: report?.id ?? null, tier: 'weekly', destinations })}\n`);
  const error = report === null ? undefined : firstError(report);
  if (error !== undefined) throw error;
}
