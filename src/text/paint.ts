// Colours of a terminal, where one is written to that has them: never in a file, never with NO_COLOR (no-color.org).

/** What a colour means here. */
export type Tone = 'good' | 'warn' | 'bad' | 'quiet' | 'strong';

/** Gives a text its colour, or leaves it as it is. */
export type Paint = (text: string, tone: Tone) => string;

const codes: Readonly<Record<Tone, string>> = { good: '32', warn: '33', bad: '31', quiet: '2', strong: '1' };

/** Leaves every text as it is. */
export const plain: Paint = (text) => text;

/** Colours by the codes that every terminal knows (ECMA-48, SGR). */
export const coloured: Paint = (text, tone) => (text === '' ? '' : `\u001B[${codes[tone]}m${text}\u001B[0m`);
