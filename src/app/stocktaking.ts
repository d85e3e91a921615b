// What the destinations hold for whoever is going to write into them, under the lock: they are taken as they are where a person
// says so.

import type { AppContext } from './context.ts';
import { readHoldings, type Holding } from './holdings.ts';
import { acceptPlaces } from './places.ts';

/** Reads all destinations; `acceptPlace` forgets before what they were known to be. Rejects as `readHoldings`. */
export async function takeStock(
  context: AppContext,
  { acceptPlace, signal }: { readonly acceptPlace: boolean; readonly signal: AbortSignal },
): Promise<readonly Holding[]> {
  const holdings = await readHoldings(context, signal);
  if (!acceptPlace) return holdings;
  await acceptPlaces(context);
  return readHoldings(context, signal);
}
