// A codec is a chain and its inverse: what encodes a dump, and what a person types to get it back. Both come from the
// same description, so that nothing can be written which the documented stock commands do not read.

import type { Duplex } from 'node:stream';
import { createLimit } from '../stream/limit.ts';
import { createAgeDecrypter, createAgeEncrypter } from './age.ts';
import { createXzDecoder, createXzEncoder, liblzmaVersion, xzEncoderMemory } from './xz.ts';
import { createZstdDecoder, createZstdEncoder, zstdEncoderMemory, zstdThreads, zstdVersion } from './zstd.ts';

/** How a dump is compressed. */
export type Compression =
  | { readonly kind: 'xz'; readonly level: number; readonly threads: number }
  /** `reach`: how far back it looks for what comes again; left out: far. */
  | { readonly kind: 'zstd'; readonly level: number; readonly threads: number; readonly reach?: 'near' | 'far' }
  | { readonly kind: 'none' };

/** The compression's name in manifests. */
export type CompressionName = Compression['kind'];

/** The streams that turn a dump into an object, in order; none when it is stored as it is. */
export function encoders(options: {
  readonly compression: Compression;
  /** age recipients; none: not encrypted. */
  readonly recipients: readonly string[];
}): readonly Duplex[] {
  const chain: Duplex[] = [];
  const { compression } = options;
  switch (compression.kind) {
    case 'xz':
      chain.push(createXzEncoder(compression));
      break;
    case 'zstd':
      chain.push(createZstdEncoder(compression));
      break;
    case 'none':
      break;
    default:
      compression satisfies never;
  }
  if (options.recipients.length > 0) chain.push(createAgeEncrypter(options.recipients));
  return chain;
}

/** The streams that turn an object back into a dump, in order; the last of them fails when more comes than is wanted. */
export function decoders(options: {
  readonly compression: CompressionName;
  /** age identities; null: the object is not encrypted. */
  readonly identities: readonly string[] | null;
  /** Threads to decompress with, where the compression allows for more than one. */
  readonly threads: number;
  /** The most bytes that may come of it, and what is thrown when there are more. */
  readonly limit: Parameters<typeof createLimit>[0];
}): readonly Duplex[] {
  const decrypter = options.identities === null ? [] : [createAgeDecrypter(options.identities)];
  const decompressor = {
    xz: () => [createXzDecoder(options)],
    zstd: () => [createZstdDecoder()],
    none: () => [],
  }[options.compression]();
  return [...decrypter, ...decompressor, createLimit(options.limit)];
}

/** The ending of an object's key: `.dump.xz.age` and its shorter forms. */
export function objectSuffix(options: { readonly compression: CompressionName; readonly encrypted: boolean }): string {
  const compressed = { xz: '.xz', zstd: '.zst', none: '' }[options.compression];
  return `.dump${compressed}${options.encrypted ? '.age' : ''}`;
}

/** The library that compresses and the version of it that is loaded; null where nothing is compressed. */
export function compressorOf(compression: CompressionName): string | null {
  return { xz: liblzmaVersion, zstd: zstdVersion, none: () => null }[compression]();
}

/** How many threads compress. */
export function threadsOf(compression: Compression): number {
  switch (compression.kind) {
    case 'xz':
      return compression.threads;
    case 'zstd':
      return zstdThreads(compression);
    case 'none':
      return 1;
    default:
      return compression satisfies never;
  }
}

/** A compression with so many threads, whatever it had. */
export function withThreads(
  compression: { readonly kind: 'none' } | { readonly kind: 'xz' | 'zstd'; readonly level: number },
  threads: number,
): Compression {
  return compression.kind === 'none' ? compression : { ...compression, threads };
}

/** What compressing needs at most, in bytes. */
export function codecMemory(compression: Compression): number {
  switch (compression.kind) {
    case 'xz':
      return xzEncoderMemory(compression);
    case 'zstd':
      return zstdEncoderMemory(compression);
    case 'none':
      return 0;
    default:
      return compression satisfies never;
  }
}
