// What the image sets for the program, read from where the image is described: a bench measures the program as it is run.

import { readFileSync } from 'node:fs';

const dockerfile = readFileSync(new URL('../../docker/Dockerfile', import.meta.url), 'utf8');
const line = /^ENV (NODE_ENV=.*)$/m.exec(dockerfile)?.[1];
if (line === undefined) throw new Error('docker/Dockerfile sets no environment');

/** The variables by their names. */
export const imageEnvironment: Readonly<Record<string, string>> = Object.fromEntries(
  line.split(' ').map((setting) => {
    const [name = '', value = ''] = setting.split('=');
    return [name, value];
  }),
);
