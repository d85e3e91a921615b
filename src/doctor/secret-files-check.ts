// Whether the files with our secrets are for us alone: compose mounts them with the owner and mode that they have on the host,
// where every other user may be able to read them.

import { quote, realSecretFiles } from '../config/environment.ts';
import { mastodonVariableNames, mastodonVariables, variableNames, variables } from '../config/table.ts';
import type { Examination, Finding } from './finding.ts';

const readableByAll = 0o004;

/** A finding for each secret file that everybody on its machine may read. */
export function examineSecretFiles({ environment }: Pick<Examination, 'environment'>): readonly Finding[] {
  const secrets = [
    ...variableNames.filter((name) => variables[name].secret === true),
    ...mastodonVariableNames.filter((name) => mastodonVariables[name].secret === true),
  ];
  return secrets.flatMap((name): readonly Finding[] => {
    const source = environment.get(name)?.source;
    if (source?.kind !== 'file') return [];
    const mode = modeOf(source.path);
    if ((mode & readableByAll) === 0) return [];
    return [
      {
        check: 'secret files',
        status: 'warning',
        detail: `${name}_FILE, ${source.path}, may be read by everybody (mode ${mode.toString(8).padStart(4, '0')})`,
        remedy: `Run on the host, with the file's path there: chmod 0400 ${quote(source.path)}; its owner must be the user of this program.`,
      },
    ];
  });
}

function modeOf(file: string): number {
  try {
    return realSecretFiles.stat(file).mode & 0o7777;
  } catch {
    return 0;
  }
}
