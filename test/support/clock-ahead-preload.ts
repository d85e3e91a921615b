// Sets the clock of the process ahead before anything reads it.

import { clockVariable } from './clock-ahead.ts';

const aheadMs = Number(process.env[clockVariable]);
const Real = Date;

globalThis.Date = class extends Real {
  constructor(...parts: readonly unknown[]) {
    // What a Date is made from is for the real one to judge.
    super(...((parts.length === 0 ? [Real.now() + aheadMs] : parts) as [number]));
  }

  static override now(): number {
    return Real.now() + aheadMs;
  }
} as DateConstructor;
