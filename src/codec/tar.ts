// A tar made, and taken apart as it passes (POSIX ustar, as PostgreSQL writes base backups). A walsender that was killed leaves a tar that
// ends too early, and tar itself has no sum: whoever takes half of one for a whole has no backup.

/** Something in the tar that a header announced. */
export interface TarMember {
  readonly name: string;
  readonly bytes: number;
  readonly kind: 'file' | 'directory' | 'link';
}

/** What comes out of a tar, in its order. */
export type TarEvent =
  | { readonly kind: 'member'; readonly member: TarMember; readonly header: Buffer }
  | { readonly kind: 'data'; readonly member: TarMember; readonly chunk: Buffer }
  | { readonly kind: 'padding'; readonly chunk: Buffer }
  | { readonly kind: 'end'; readonly member: TarMember };

/** A tar that is read. */
export interface TarReader {
  /** What the next bytes of it are. The chunks belong to `bytes`. Throws for what is no tar. */
  push(bytes: Buffer): Generator<TarEvent>;
  /** Throws unless the bytes ended where a member did; `end` asks for the two empty blocks besides. */
  finish(end: 'members' | 'end'): void;
}

const blockBytes = 512;
/** What the fields of a header hold of a name, in bytes. */
const longestRest = 100;
const longestFolder = 155;

/** A reader at the beginning of a tar. */
export function createTarReader(): TarReader {
  let pending: Buffer = Buffer.alloc(0);
  let current: TarMember | null = null;
  let dataLeft = 0;
  let paddingLeft = 0;
  let emptyBlocks = 0;

  function* push(bytes: Buffer): Generator<TarEvent> {
    for (let at = 0; at < bytes.length;) {
      if (current !== null && dataLeft > 0) {
        const chunk = bytes.subarray(at, at + Math.min(dataLeft, bytes.length - at));
        at += chunk.length;
        dataLeft -= chunk.length;
        yield { kind: 'data', member: current, chunk };
      } else if (paddingLeft > 0) {
        const chunk = bytes.subarray(at, at + Math.min(paddingLeft, bytes.length - at));
        at += chunk.length;
        paddingLeft -= chunk.length;
        yield { kind: 'padding', chunk };
      } else {
        const missing = blockBytes - pending.length;
        pending = Buffer.concat([pending, bytes.subarray(at, at + missing)]);
        at += missing;
        if (pending.length < blockBytes) return;
        const header = pending;
        pending = Buffer.alloc(0);
        const member = readHeader(header);
        if (member === null) {
          emptyBlocks += 1;
          continue;
        }
        if (emptyBlocks > 0) throw new Error('something follows the end of the tar');
        current = member;
        dataLeft = member.bytes;
        paddingLeft = padding(member.bytes);
        yield { kind: 'member', member, header };
      }
      if (current !== null && dataLeft === 0 && paddingLeft === 0) {
        const member: TarMember = current;
        current = null;
        yield { kind: 'end', member };
      }
    }
  }

  return {
    push,
    finish(end) {
      if (current !== null) throw new Error(`the tar ends inside ${current.name}`);
      if (pending.length > 0) throw new Error('the tar ends inside a header');
      if (end === 'end' && emptyBlocks < 2) throw new Error('the tar has no end');
    },
  };
}

/** Bytes that fill the last block of a member of so many bytes. */
export function padding(bytes: number): number {
  return (blockBytes - (bytes % blockBytes)) % blockBytes;
}

/** The two empty blocks that end a tar. */
export const tarEnd: Buffer = Buffer.alloc(2 * blockBytes);

/** Where a name is divided between the two fields of a header; undefined: it fits into no header. */
function divide(name: string): { readonly folder: string; readonly rest: string } | undefined {
  if (Buffer.byteLength(name) <= longestRest) return { folder: '', rest: name };
  const at = [...name.matchAll(/\//g)]
    .map(({ index }) => index)
    .find((index) => Buffer.byteLength(name.slice(index + 1)) <= longestRest);
  if (at === undefined || at === 0 || Buffer.byteLength(name.slice(0, at)) > longestFolder) return undefined;
  return { folder: name.slice(0, at), rest: name.slice(at + 1) };
}

/** Whether a tar without extensions can hold a file of this name. */
export function fitsTar(name: string): boolean {
  return divide(name) !== undefined;
}

/** The header of an ordinary file, which nobody else may read. Throws for a name that fits into none. */
export function fileHeader(
  name: string,
  { bytes, modifiedAt = new Date(0) }: { readonly bytes: number; readonly modifiedAt?: Date },
): Buffer {
  const divided = divide(name);
  if (divided === undefined) throw new Error(`'${name}' is too long for a tar`);
  const block = Buffer.alloc(blockBytes);
  const write = (text: string, at: number): void => void block.write(text, at, 'utf8');
  const seconds = Math.max(0, Math.floor(modifiedAt.getTime() / 1_000));
  write(divided.rest, 0);
  write(divided.folder, 345);
  write('0000600\0', 100);
  write('0000000\0', 108);
  write('0000000\0', 116);
  write(`${bytes.toString(8).padStart(11, '0')}\0`, 124);
  write(`${seconds.toString(8).padStart(11, '0')}\0`, 136);
  write('0', 156);
  write('ustar\u000000', 257);
  write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

// Null: an empty block.
function readHeader(block: Buffer): TarMember | null {
  if (block.every((byte) => byte === 0)) return null;
  if (readOctal(block, { at: 148, bytes: 8 }) !== checksum(block)) throw new Error('a header of the tar is damaged');
  const text = (at: number, bytes: number): string => {
    const field = block.subarray(at, at + bytes);
    const end = field.indexOf(0);
    return field.subarray(0, end === -1 ? bytes : end).toString('utf8');
  };
  const folder = text(345, 155);
  const type = text(156, 1);
  const name = folder === '' ? text(0, 100) : `${folder}/${text(0, 100)}`;
  const kind = type === '5' ? 'directory' : type === '' || type === '0' ? 'file' : 'link';
  return { name: name.replace(/\/$/, ''), kind, bytes: kind === 'file' ? readSize(block) : 0 };
}

function readSize(block: Buffer): number {
  // Above 8 GiB in base 256, as GNU tar has it.
  if (((block[124] ?? 0) & 0x80) === 0) return readOctal(block, { at: 124, bytes: 12 });
  return Number(block.readBigUInt64BE(128));
}

function readOctal(block: Buffer, { at, bytes }: { readonly at: number; readonly bytes: number }): number {
  const digits = block.toString('latin1', at, at + bytes).replaceAll(/[\0 ]/g, '');
  if (!/^[0-7]+$/.test(digits)) throw new Error('a header of the tar is damaged');
  return Number.parseInt(digits, 8);
}

// Of all bytes of a header, with its own sum taken for spaces.
function checksum(block: Buffer): number {
  let sum = 0;
  for (const [at, byte] of block.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte;
  return sum;
}
