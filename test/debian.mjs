// Installs the Debian packages that are named and missing, as root: what one kind of test needs alone. Plain JavaScript for old
// Node versions. Silent and fast when nothing is missing.

import { spawnSync } from 'node:child_process';

const isThere = (name) => spawnSync('dpkg', ['-s', name], { stdio: 'ignore' }).status === 0;
const missing = process.argv.slice(2).filter((name) => !isThere(name));
if (missing.length > 0) {
  const install = ['install', '-y', '-q', '--no-install-recommends', ...missing];
  if (process.getuid?.() !== 0) {
    console.error(`setup: these are missing: ${missing.join(', ')}. Run: sudo apt-get ${install.join(' ')}`);
    process.exit(1);
  }
  console.error(`setup: installing ${missing.join(', ')}`);
  // With this runlevel Debian starts no service.
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  const apt = (args) => spawnSync('apt-get', args, { env, stdio: ['ignore', 2, 2] }).status === 0;
  if (!apt(install) && !(apt(['update', '-q']) && apt(install))) {
    console.error(`setup: this failed: apt-get ${install.join(' ')}`);
    process.exit(1);
  }
}
