// Text for a terminal.

/** Labels and names come out of a bucket: what would steer a terminal is not handed to one. */
export function forTerminal(text: string): string {
  return text.replaceAll(/(?![\n\t])\p{Cc}/gu, '\uFFFD');
}
