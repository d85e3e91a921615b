// What a disk, or somebody who may write a store, makes of an object of the log. In a new file: a copied chain may share the old one.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** Flips one bit in its middle. */
export function flip(file: string): void {
  const bytes = readFileSync(file);
  const at = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0x10, at);
  rmSync(file);
  writeFileSync(file, bytes);
}

/** Changes what is in an object, and packs it as it was. */
export function rewrite(file: string, change: (content: Buffer) => void): void {
  const content = zstdDecompressSync(readFileSync(file));
  change(content);
  rmSync(file);
  writeFileSync(file, zstdCompressSync(content));
}
