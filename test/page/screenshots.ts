// The pictures of the documentation, from real daemons: npm run screenshots.

import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { checkout } from '../support/documentation.ts';
import { startPostgres } from '../support/postgres-server.ts';
import { startBrowser } from './browser.ts';
import { startInstance } from './instances.ts';

const folder = path.join(checkout, 'docs/pictures');
const largestBytes = 60_000;
const pictures = [
  { state: 'healthy', width: 800, height: 424 },
  { state: 'late', width: 390, height: 560 },
] as const;

mkdirSync(folder, { recursive: true });
await using server = await startPostgres({ major: 15 });
await server.createDatabase('mastodon_production');
await using browser = await startBrowser();
for (const { state, width, height } of pictures) {
  await using instance = await startInstance(state, { server });
  await using sheet = await browser.open(`${instance.url}/?hold`);
  for (const scheme of ['light', 'dark'] as const) {
    await sheet.see({ width, scheme });
    const file = path.join(folder, `status-${state}-${scheme}.png`);
    const picture = await sheet.picture({ height });
    writeFileSync(file, picture);
    if (picture.length > largestBytes)
      throw new Error(`${file} has ${picture.length} bytes, more than ${largestBytes}`);
    console.log(`${path.relative(checkout, file)}: ${picture.length} bytes`);
  }
}
