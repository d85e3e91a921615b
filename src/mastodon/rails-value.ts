// Mastodon's config/database.yml puts DB_HOST, DB_PORT, DB_NAME, DB_USER and DB_SSLMODE into YAML as they stand, so that
// YAML, and not the shell, decides about their quotes and comments; DB_PASS goes through `to_json` and stays as it is.

/** Whether a text begins and ends with the same kind of quote. */
export function isQuoted(text: string): boolean {
  return /^(["']).*\1$/s.test(text.trim()) && text.trim().length > 1;
}

/** A value as Rails has it after YAML read it as a scalar: without quotes, white space around it, and a comment behind it. */
export function readAsYamlScalar(text: string): string {
  const trimmed = text.trim();
  const quoted = /^'((?:[^']|'')*)'\s*(?:#.*)?$/s.exec(trimmed);
  if (quoted !== null) return (quoted[1] ?? '').replaceAll("''", "'");
  const doubleQuoted = /^("(?:[^"\\]|\\.)*")\s*(?:#.*)?$/s.exec(trimmed);
  if (doubleQuoted !== null) return unescapeDoubleQuoted(doubleQuoted[1] ?? '""');
  return trimmed.replace(/(?:^|\s+)#.*$/s, '');
}

// JSON's escapes are a subset of YAML's; anything more exotic is left as it is written.
function unescapeDoubleQuoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1);
  }
}
