// This program's own settings as an env file, without its secrets, for the machine on which it is set up again. Mastodon's settings
// travel whole and encrypted; keys of the bucket and tokens of messages are made anew, and nobody finds them with a backup.

import type { Environment } from '../config/environment.ts';
import { hidden, toShownValue } from '../config/problem.ts';
import { describeSettings } from '../config/shown.ts';
import { variableNames, variables } from '../config/table.ts';
import { fileHeader, padding } from '../codec/tar.ts';
import { encodeEnvFile } from '../mastodon/env-file.ts';

/** What the file is called among the extra files. */
const ownSettingsName = '.env.backup';

/** The file; what came from a file keeps that file's path, and secrets are named alone. */
export function encodeOwnSettings(environment: Environment): Buffer {
  const shown = new Map(describeSettings(environment).map(({ name, value }) => [name, value]));
  const plain: Record<string, string> = {};
  const secret: string[] = [];
  for (const name of variableNames) {
    const given = environment.get(name);
    if (given === undefined || given.text === '') continue;
    if (given.source.kind === 'file') plain[`${name}_FILE`] = given.source.path;
    // Hidden where it is a secret, or looks like one in the place of what is none.
    else if (variables[name].secret === true || isHidden(given.text, shown.get(name))) secret.push(name);
    else plain[name] = given.text;
  }
  const header = [
    'The settings of mastodon-backup, without its secrets.',
    ...(secret.length === 0 ? [] : [`Set again what was set and does not travel: ${secret.join(' ')}`]),
  ];
  return Buffer.from(encodeEnvFile(plain, { header }));
}

function isHidden(text: string, shown: string | null | undefined): boolean {
  return toShownValue(text) === hidden || shown !== toShownValue(text);
}

/** The file as the member of a tar, to stand before others. */
export function ownSettingsMember(environment: Environment, { now }: { readonly now: Date }): Buffer {
  const content = encodeOwnSettings(environment);
  const header = fileHeader(ownSettingsName, { bytes: content.length, modifiedAt: now });
  return Buffer.concat([header, content, Buffer.alloc(padding(content.length))]);
}
