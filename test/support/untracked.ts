// Loaded before the tests (`--import`): Node's runner follows every promise and socket of a test with asynchronous hooks, only to
// say to which test an uncaught error belongs, and that costs more than a tenth of the suite's processor time and most of its
// garbage collection. Without them an uncaught error fails its file, also one that comes after its test has ended.
// https://nodejs.org/api/async_hooks.html

import { createHook, type AsyncHook } from 'node:async_hooks';

const prototype = Object.getPrototypeOf(createHook({})) as AsyncHook;
prototype.enable = function enable(this: AsyncHook) {
  return this;
};
