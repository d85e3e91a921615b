// How docker compose reads an env file, written from its documentation ("Env file syntax") and not from the writer under
// test: https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax

/** The variables of an env file as docker compose gives them to a container. Throws on what compose refuses. */
export function readAsCompose(text: string): Readonly<Record<string, string>> {
  const variables: Record<string, string> = {};
  let at = 0;
  const rest = (): string => text.slice(at);
  while (at < text.length) {
    const blank = /^(?:\s+|#[^\n]*)/.exec(rest());
    if (blank !== null) {
      at += blank[0].length;
      continue;
    }
    const start = /^(?:export\s+)?([A-Za-z_][\w.-]*)[ \t]*=[ \t]*/.exec(rest());
    if (start === null) throw new Error(`not a variable: ${rest().slice(0, 40)}`);
    at += start[0].length;
    const name = start[1] ?? '';
    const quote = text[at];
    if (quote === "'" || quote === '"') {
      const { value, length } = readQuoted(rest(), quote);
      at += length;
      variables[name] = quote === '"' ? interpolate(unescape(value), variables) : value;
      const tail = /^[^\n]*/.exec(rest())?.[0] ?? '';
      if (!/^\s*(?:#.*)?$/.test(tail)) throw new Error(`something follows the quotes of ${name}`);
      at += tail.length;
    } else {
      const line = /^[^\n]*/.exec(rest())?.[0] ?? '';
      at += line.length;
      variables[name] = interpolate(line.replace(/ #.*$/, '').trimEnd(), variables);
    }
  }
  return variables;
}

// Up to the next quote of the same kind that no backslash stands before; pairs of backslashes stay pairs.
function readQuoted(text: string, quote: string): { readonly value: string; readonly length: number } {
  let value = '';
  for (let at = 1; at < text.length; at += 1) {
    const character = text[at] ?? '';
    const next = text[at + 1] ?? '';
    if (character === '\\' && next === quote) {
      value += quote;
      at += 1;
    } else if (character === '\\') {
      value += character + next;
      at += 1;
    } else if (character === quote) return { value, length: at + 1 };
    else value += character;
  }
  throw new Error('unterminated quotes');
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', '\\': '\\', '"': '"', $: '$$' };

function unescape(text: string): string {
  return text.replaceAll(/\\([nrt\\"$])/g, (_all, character: string) => escapes[character] ?? '');
}

function interpolate(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(\$|\w+|\{[^}]*\})/g, (_all, name: string) =>
    name === '$' ? '$' : (variables[name.replaceAll(/[{}]/g, '')] ?? ''),
  );
}
