// `--help` of every command: an example that can be typed as it stands, and a page that is there.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'node:test';
import { generateIdentity } from 'age-encryption';
import { examples } from '../../src/cli/examples.ts';
import { runCommand } from '../support/command.ts';
import { checkout } from '../support/documentation.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

let commands: readonly string[];
before(async () => {
  const { stdout } = await runCommand(['--help'], {});
  commands = [...stdout.matchAll(/^ {2}([\w-]+) /gm)].map(([, name]) => name ?? '').filter((name) => name !== 'help');
});

function helpOf(text: string): { readonly typed: readonly string[]; readonly page: string } {
  const [, block = '', page = ''] = /\nExamples:\n((?: {2}.+\n)+)\nMore about it: (\S+)\n?$/.exec(text) ?? [];
  return { typed: block.split('\n').filter((line) => line !== ''), page };
}

describe('the help of every command', () => {
  it('has one or two examples, in the form that works where it is read, and a page', async () => {
    assert.deepEqual(Object.keys(examples).toSorted(), commands.toSorted());
    for (const command of commands) {
      const { typed, page } = helpOf((await runCommand([command, '--help'], {})).stdout);
      assert.ok(typed.length === 1 || typed.length === 2, `${command}: ${typed.join()}`);
      for (const line of typed) assert.match(line, new RegExp(`^ {2}bin/mastodon-backup ${command}(?: |$)`));
      const [file = '', heading] = page.split('#');
      const headings = readFileSync(path.join(checkout, file), 'utf8').matchAll(/^#+ (.+)$/gm);
      const anchors = [...headings].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-'));
      if (heading !== undefined) assert.ok(anchors.includes(heading), `${command}: ${page}`);
    }
  });

  it('has none that is not understood', async () => {
    // Where keygen writes, and the private key is.
    using folder = temporaryDirectory();
    writeFileSync(path.join(folder.path, 'key.txt'), await generateIdentity());
    const here = process.cwd();
    process.chdir(folder.path);
    for (const { typed } of Object.values(examples)) {
      for (const line of typed) {
        const words = [...line.matchAll(/"([^"]*)"|\S+/g)].map(([word, quoted]) => quoted ?? word);
        // No setting is there: whatever was understood ends with that, or needs none.
        const { status, stderr } = await runCommand(words, { BACKUP_S3_BUCKET: 'only-this' });
        assert.match(`${status} ${stderr}`, /^0|^[12] mastodon-backup: \d settings are wrong:/, line);
      }
    }
    process.chdir(here);
  });
});
