// The bytes that OpenSSH's keys and signatures are made of (RFC 4251, section 5): numbers of four bytes, and strings with their
// length before them. What comes from a bucket or a file may be anything, so that reading never goes past its end.

/** A string with its length before it. */
export function sshString(content: string | Uint8Array): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([sshNumber(bytes.length), bytes]);
}

/** A number of four bytes. */
export function sshNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Takes values off the front of some bytes; every method throws RangeError when they end too early. */
export interface SshReader {
  number(): number;
  string(): Buffer;
  text(): string;
  raw(length: number): Buffer;
  /** What is left. */
  rest(): Buffer;
}

/** A reader of `bytes`. */
export function readSsh(bytes: Buffer): SshReader {
  let offset = 0;
  const raw = (length: number): Buffer => {
    if (length > bytes.length - offset) throw new RangeError('ends too early');
    offset += length;
    return bytes.subarray(offset - length, offset);
  };
  const number = (): number => raw(4).readUInt32BE();
  const string = (): Buffer => raw(number());
  return { number, string, text: () => string().toString('latin1'), raw, rest: () => raw(bytes.length - offset) };
}

/**
 * The bytes between the lines `BEGIN name` and `END name` of a text; undefined when there are none. Also of a text on one line,
 * as a variable has it, with blanks or `\n` where there were line ends.
 */
export function decodeArmour(text: string, name: string): Buffer | undefined {
  const [begin, end] = [`-----BEGIN ${name}-----`, `-----END ${name}-----`];
  const start = text.indexOf(begin);
  const stop = text.indexOf(end);
  if (start === -1 || stop < start) return undefined;
  const base64 = text.slice(start + begin.length, stop).replaceAll(/\\[rn]|\s/g, '');
  return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : undefined;
}

/** The bytes as such a text, in lines as OpenSSH writes them. */
export function encodeArmour(bytes: Uint8Array, name: string): string {
  const lines =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,70}/g) ?? [];
  return [`-----BEGIN ${name}-----`, ...lines, `-----END ${name}-----`, ''].join('\n');
}
