// Text for a terminal.

/** What breaks or steers a line, or has it read in another order than it is typed. */
export const misleading = /[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu;

/** Whether there is such a character in it. */
export function isMisleading(text: string): boolean {
  return text.search(misleading) >= 0;
}

/** The text without them, on one line. */
export function plainLine(text: string): string {
  return text.replaceAll(misleading, '\uFFFD');
}

/** Labels and names come out of a bucket: what would steer a terminal is not handed to one. */
export function forTerminal(text: string): string {
  return text.replaceAll(misleading, (one) => (one === '\n' || one === '\t' ? one : '\uFFFD'));
}
