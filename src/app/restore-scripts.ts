// The script that restores without this program is left in every place that has got a backup. A place without it is as good; it is
// no reason for a run to fail.

import { restoreScript, restoreScriptName, restoreScriptSha256 } from '../kit/restore-script.ts';
import type { DestinationOutcome } from '../snapshots/destination.ts';
import { leaveScript } from '../snapshots/place-script.ts';
import type { AppContext } from './context.ts';

/** Leaves it where a run has stored something. Rejects only with the reason of `signal`; when `limited` aborts, it goes without. */
export async function leaveScripts(
  { log }: AppContext,
  {
    outcomes,
    signal,
    limited,
  }: { readonly outcomes: readonly DestinationOutcome[]; readonly signal: AbortSignal; readonly limited: AbortSignal },
): Promise<void> {
  for (const { kind, destination } of outcomes) {
    if (kind !== 'stored') continue;
    const { repository } = destination;
    const details = { store: repository.store.description, script: restoreScriptName };
    try {
      const left = await leaveScript(repository, { name: restoreScriptName, content: restoreScript, signal: limited });
      if (left.kind === 'stored') log.info(details, 'The script that restores without this program was left there');
      if (left.kind === 'other')
        log.warn(
          { ...details, key: left.key, sha256: left.sha256, expected: restoreScriptSha256 },
          'What lies there under the name of the script that restores without this program is another one: do not run it, find out who wrote it, and remove it; the next run leaves ours there again',
        );
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ ...details, err: error }, 'The script that restores without this program could not be left there');
    }
  }
}
