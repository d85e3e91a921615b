// A record of the log as lines for people: time, level, sentence, and what belongs to it in words. JSON at the end of a line
// runs out of the terminal, and nobody reads it.

import { formatBytes, formatDuration } from './format.ts';
import { wrap } from './table.ts';
import { forTerminal } from './terminal.ts';

type LogRecord = Readonly<Record<string, unknown>>;

/** Where lines after the first begin. */
const indent = 11;

/** A maker of lines, with times in this zone, broken where the terminal ends. */
export function createLogLine({
  timeZone,
  columns,
}: {
  readonly timeZone: string;
  readonly columns: () => number;
}): (record: LogRecord) => string {
  const clock = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    hourCycle: 'h23',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
  });
  return ({ time, level, msg, err, ...details }) => {
    const begin = `[${clock.format(new Date(String(time)))}] ${String(level).toUpperCase()}: `;
    const { message, hint, stack } = readError(err);
    const sentence = [textOf(msg), ...(message === undefined ? [] : [message])].join(': ');
    const told = describeDetails(details, sentence);
    const room = { columns: columns() - 1, indent };
    const lines = [
      wrap(`${begin}${sentence}${told}`, { ...room, firstIndent: 0 }),
      ...(hint === undefined ? [] : [`${' '.repeat(indent)}${wrap(`-> ${hint}`, room)}`]),
      ...(stack === undefined ? [] : [stack]),
    ];
    return `${forTerminal(lines.join('\n'))}\n`;
  };
}

function readError(error: unknown): { readonly message?: string; readonly hint?: string; readonly stack?: string } {
  if (error === undefined || error === null) return {};
  if (typeof error !== 'object') return { message: textOf(error) };
  const { message, hint, stack } = error as LogRecord;
  return {
    message: textOf(message),
    ...(typeof hint === 'string' ? { hint } : {}),
    ...(typeof stack === 'string' ? { stack } : {}),
  };
}

// What the sentence says already is not said again.
function describeDetails(details: LogRecord, sentence: string): string {
  const words = Object.entries(details).flatMap(([name, value]) => describeDetail(name, value));
  const news = words.filter(({ text }) => !sentence.includes(text)).map(({ name, text }) => `${name} ${text}`);
  return news.length === 0 ? '' : ` (${news.join(', ')})`;
}

function describeDetail(name: string, value: unknown): readonly { readonly name: string; readonly text: string }[] {
  if (value === null || value === undefined || value === '') return [];
  if (Array.isArray(value)) {
    const isPlain = value.every((one) => typeof one !== 'object');
    return value.length === 0 ? [] : [{ name: inWords(name), text: isPlain ? value.join(' ') : String(value.length) }];
  }
  if (typeof value === 'object') return Object.entries(value).flatMap(([key, one]) => describeDetail(key, one));
  return [{ name: inWords(name), text: figure(name, value) }].map(({ name: word, text }) => ({
    name: word.replace(/ (?:bytes|ms)$/, ''),
    text,
  }));
}

function figure(name: string, value: unknown): string {
  if (typeof value !== 'number') return String(value);
  if (/bytes$/i.test(name)) return formatBytes(value);
  return name.endsWith('Ms') ? formatDuration(value) : String(value);
}

// `expectedBytes` as `expected bytes`.
function inWords(name: string): string {
  return name.replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
