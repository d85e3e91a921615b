// Text that comes in pieces, as lines: a last one without its end is one too, and one that never ends, as when a program prints a
// dump by mistake, must not fill the memory until a string can be no longer.

import { shorten } from '../text/shorten.ts';

/** What is longer says no more to anybody, in characters; of the rest of such a line nothing is kept. */
const longestLine = 8_192;

/** Takes a text in pieces. */
export interface LineSplitter {
  push(text: string): void;
  /** Nothing more comes: what is left is a line. */
  end(): void;
}

/** Hands each line to `onLine`, without its end, and shortened where it is very long. */
export function splitLines(onLine: (line: string) => void): LineSplitter {
  let begun = '';
  const add = (text: string): void => {
    // One more than is handed on tells that there was more.
    if (begun.length <= longestLine) begun += text.slice(0, longestLine + 1 - begun.length);
  };
  const hand = (): void => {
    const line = shorten(begun, longestLine);
    begun = '';
    onLine(line);
  };
  return {
    push(text) {
      const [first = '', ...others] = text.split('\n');
      add(first);
      for (const other of others) {
        hand();
        add(other);
      }
    },
    end() {
      if (begun !== '') hand();
    },
  };
}
