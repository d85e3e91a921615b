// What a setting is. Everything that is said about one setting stands in one row of the tables beside this file, so that
// the reader, docs/settings.md, `config` and the check for typing errors cannot disagree about it.

/** The parts the tables of docs/settings.md are divided into. */
export type Section = 'database' | 'destination' | 'plan' | 'messages';

/** A variable of Mastodon's that this program reads too; what it means is the business of `mastodon/`. */
export interface ForeignVariable {
  /** The default as one would write it; null when there is none or it depends on other settings. */
  readonly preset: string | null;
  /** The default for people, in Markdown, where `preset` does not say it. */
  readonly presetNote?: string;
  readonly secret?: true;
  /** One line of Markdown for an administrator. */
  readonly doc: string;
}

/** One setting of this program. */
export interface Variable<Value = unknown> extends ForeignVariable {
  readonly section: Section;
  /** How its text becomes a value. Throws `ValueError`. */
  readonly parse: (text: string) => Value;
  /** Set but empty is an error: a mistyped `${NAME:-}` must not switch it off. */
  readonly emptyIsError?: true;
  /** What is wrong with it stops no run: a message that cannot be sent, or a hook, is no reason to have no backup. */
  readonly optional?: true;
  /** The value may have several lines and white space around it. */
  readonly multiline?: true;
}

/** A maker of rows for one section, which keeps the type of each value. */
export function rowsOf(section: Section): <Value>(row: Omit<Variable<Value>, 'section'>) => Variable<Value> {
  return (row) => ({ section, ...row });
}
