// What npm installs is named to the last package, for every platform, with a hash: otherwise `npm ci` refuses a fresh clone on
// another machine than the author's, or takes what a registry happens to serve.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { checkout } from './support/documentation.ts';

interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

for (const folder of ['', 'test/servers/']) {
  describe(`${folder}package-lock.json`, () => {
    const read = (name: string): unknown => JSON.parse(readFileSync(path.join(checkout, folder, name), 'utf8'));
    const { packages } = read('package-lock.json') as { packages: Readonly<Record<string, LockedPackage>> };
    const own = read('package.json') as LockedPackage;

    it('has a hash of every package, and names no registry', () => {
      const open = Object.entries(packages).filter(
        ([name, { integrity }]) => name !== '' && integrity?.startsWith('sha512-') !== true,
      );
      assert.deepEqual(open, []);
      assert.doesNotMatch(readFileSync(path.join(checkout, folder, 'package-lock.json'), 'utf8'), /"resolved"/);
    });

    it('has every package that another one names, those of other platforms too', () => {
      const absent = Object.entries(packages).flatMap(
        ([name, { dependencies, devDependencies, optionalDependencies }]) =>
          Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies })
            .filter((wanted) => !isFound(wanted, { from: name, packages }))
            .map((wanted) => `${name} wants ${wanted}`),
      );
      assert.deepEqual(absent, []);
    });

    it('asks for what package.json asks for', () => {
      for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies'] as const) {
        assert.deepEqual(packages['']?.[kind], own[kind], kind);
        for (const version of Object.values(own[kind] ?? {})) assert.match(version, /^(npm:.+@)?\d+\.\d+\.\d+(-\S+)?$/);
      }
    });
  });
}

// As Node looks for it: in node_modules beside, and in those above.
function isFound(
  wanted: string,
  { from, packages }: { readonly from: string; readonly packages: Readonly<Record<string, unknown>> },
): boolean {
  if (path.join(from, 'node_modules', wanted) in packages) return true;
  if (from === '') return false;
  return isFound(wanted, { from: from.replace(/\/?node_modules\/(@[^/]+\/)?[^/]+$/, ''), packages });
}
