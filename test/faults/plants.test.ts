// A plant that no longer applies ends the trial of all of them, when somebody wants to know what the campaign can find.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { checkout } from '../support/documentation.ts';
import { plants } from './campaign/plants.ts';

it('every plant still applies to the sources', () => {
  for (const { name, edits } of plants)
    for (const { file, find } of edits) {
      const text = readFileSync(path.join(checkout, file), 'utf8');
      assert.equal(text.split(find).length, 2, `${name}: ${file} has not got exactly one '${find}'`);
    }
});
