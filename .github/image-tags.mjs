// Says, a line each, under which tags a released version is published: X.Y.Z with its suffix first, which is never moved, then
// those that people follow and that it is the newest for. A patch of an older line moves its own X.Y alone: `latest` never goes
// back. What was released is asked of git, in the working directory.
//
//   node .github/image-tags.mjs v1.2.3 [-20261201]

import { execFileSync } from 'node:child_process';

const release = /^v(\d+)\.(\d+)\.(\d+)$/;
const numbers = (tag) => release.exec(tag)?.slice(1).map(Number);
const isNewer = (one, other) => {
  const differs = one.findIndex((number, place) => number !== other[place]);
  return differs !== -1 && one[differs] > other[differs];
};

const [tag = '', suffix = ''] = process.argv.slice(2);
const version = numbers(tag);
if (version === undefined || !/^(-[\w.]+)?$/.test(suffix)) {
  console.error(`'${tag}' with the suffix '${suffix}' is no release: expected vX.Y.Z and -SUFFIX`);
  process.exit(2);
}
// A shallow checkout has no tags, and everything would be the newest.
const released = execFileSync('git', ['tag', '--list'], { encoding: 'utf8' }).split('\n').map(numbers).filter(Boolean);
if (!released.some((one) => one.join() === version.join())) {
  console.error(`git has no tag ${tag} here: are the tags fetched?`);
  process.exit(1);
}

const [major, minor] = version;
const newer = released.filter((one) => isNewer(one, version));
const tags = [`${version.join('.')}${suffix}`];
if (!newer.some((one) => one[0] === major && one[1] === minor)) tags.push(`${major}.${minor}`);
// Before 1.0 each minor may change what is told outside, and nobody can follow them all.
if (major > 0 && !newer.some((one) => one[0] === major)) tags.push(`${major}`);
if (newer.length === 0) tags.push('latest');
console.log(tags.join('\n'));
