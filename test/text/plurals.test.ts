// "1 tables" is what a program says that was never read by anybody. A number before a noun goes through `plural`, everywhere.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { it } from 'node:test';
import { plural } from '../../src/text/table.ts';
import { checkout } from '../support/documentation.ts';

const nouns =
  'bytes|days|hours|minutes|threads|cores|entries|rows|tables|objects|indexes|keys|statements|checks|segments|backups|snapshots|' +
  'comments|uploads|settings|files|others|parts|sequences|schemas|extensions|roles|databases|connections|sessions|transactions|' +
  'drills|runs|destinations|places|gaps|messages|recipients|signatures|versions|rules|lines|columns|functions|views|problems|' +
  'warnings|weeks|months|years|manifests|constraints|errors|failures|jobs|slots|attempts|accounts|statuses|users|triggers';
/** An expression, at most two adjectives, and a noun. */
const counted = new RegExp(`\\$\\{([^{}]*)\\}(?: [a-z]+){0,2}? (?:${nouns})(?![\\w-])`, 'g');
/** What stands there and is no number that may be one: limits of ours, names, formatted sizes, words. */
const noCount =
  /^(?:max\w+|most\w*|largest\w*|longest\w*|limit|days|name|store\.\w+|key\.\w+|ids?|tier|reason|threads|attempts|removed|expected|[\w.]+Bytes)$|^format|plural\(|\.join\(|described?\w*\(|read(?:Out|er)|names\.|snapshot$|headroom/;

it('no number stands before a noun that has not asked for its form', () => {
  const found = globSync('src/**/*.ts', { cwd: checkout }).flatMap((file) => {
    const text = readFileSync(path.join(checkout, file), 'utf8');
    return [...text.matchAll(counted)]
      .filter(([, expression = '']) => !noCount.test(expression))
      .map(([words]) => `${file}: ${words}`);
  });
  assert.deepEqual(found, []);
});

it('one is one, and none are many', () => {
  assert.deepEqual(
    [0, 1, 2].map((count) => plural(count, 'table')),
    ['0 tables', '1 table', '2 tables'],
  );
  assert.equal(plural(1, 'index', 'indexes'), '1 index');
});
