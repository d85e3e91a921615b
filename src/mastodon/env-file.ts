// Mastodon's settings as an env file that its compose file takes back unchanged. Values go through compose's own quoting
// rules (compose-go's dotenv package): unquoted ones lose spaces, comments and `$NAME`, so all but plain ones are quoted.

import type { MastodonVariables } from './documented-variables.ts';

/** Characters that every reader of env files takes as they are, `docker run --env-file` and shells included. */
const plain = /^[\w@%+=:,./-]*$/;
const variableName = /^[A-Za-z_]\w*$/;

/**
 * The file for these variables, with `header` as comment lines. Docker compose's `env_file` reads exactly these values, and
 * so do a shell and the dotenv of a Mastodon without Docker unless a value is exotic; `docker run --env-file` reads the
 * plain ones.
 */
export function encodeEnvFile(
  variables: MastodonVariables,
  { header }: { readonly header: readonly string[] },
): string {
  const comments = header.map((line) => `# ${line.replaceAll(/[\p{Cc}\u2028\u2029]+/gu, ' ')}`.trimEnd());
  const lines = Object.entries(variables).map(([name, value]) => {
    if (!variableName.test(name)) throw new Error(`'${name}' is no name of a variable`);
    return `${name}=${encodeValue(value)}`;
  });
  return [...comments, '', ...lines, ''].join('\n');
}

// Single quotes are literal for compose, dotenv and shells alike; but no quote can stand in them for all three, compose
// takes a backslash before the closing one for an escape, and a bare carriage return is taken for a line end by dotenv.
function encodeValue(value: string): string {
  if (plain.test(value)) return value;
  if (!/['\r]|\\$/.test(value)) return `'${value}'`;
  const escaped = value.replaceAll(/[\\"$]/g, (character) => `\\${character}`).replaceAll('\r', String.raw`\r`);
  return `"${escaped}"`;
}

/**
 * Reads a file that `encodeEnvFile` wrote. Throws an Error for anything else: it is no general reader of env files, and the
 * text of its errors holds no value.
 */
export function decodeEnvFile(text: string): MastodonVariables {
  const variables: Record<string, string> = {};
  const statement = /(?:#[^\n]*|([A-Za-z_]\w*)=(?:([\w@%+=:,./-]*)|'([^']*)'|"((?:[^"\\]|\\.)*)"))?(?:\n|$)/sy;
  while (statement.lastIndex < text.length) {
    const line = text.slice(0, statement.lastIndex).split('\n').length;
    const match = statement.exec(text);
    if (match === null) throw new Error(`line ${line} is not as this program writes it`);
    const [, name, bare, single, double] = match;
    if (name === undefined) continue;
    if (Object.hasOwn(variables, name)) throw new Error(`line ${line} sets '${name}' again`);
    variables[name] = bare ?? single ?? unescape(double ?? '');
  }
  return variables;
}

function unescape(text: string): string {
  return text.replaceAll(/\\(.)/gs, (_match, character: string) => (character === 'r' ? '\r' : character));
}
