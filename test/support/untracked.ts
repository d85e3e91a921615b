// Loaded before the tests (`--import`): Node's runner follows every promise of a test with asynchronous hooks, only to say to which
// test an uncaught error belongs, and that costs up to a quarter of a test's processor time, most of it in garbage collection. What
// it needs to know in which suite a test stands, it still follows. An uncaught error fails its file now, also one that comes after
// its test has ended, which the runner only mentions otherwise. https://nodejs.org/api/async_hooks.html

import { createHook, type AsyncHook, type HookCallbacks } from 'node:async_hooks';

const prototype = Object.getPrototypeOf(createHook({})) as AsyncHook;
const enable = Object.getOwnPropertyDescriptor(prototype, 'enable')?.value as (this: AsyncHook) => AsyncHook;
prototype.enable = function enableWithoutPromises(this: AsyncHook) {
  const callback = <Name extends 'init' | 'destroy'>(name: Name): HookCallbacks[Name] => {
    const symbol = Object.getOwnPropertySymbols(this).find(({ description }) => description === name);
    return symbol === undefined ? undefined : (Reflect.get(this, symbol) as HookCallbacks[Name]);
  };
  const [init, destroy] = [callback('init'), callback('destroy')];
  const lighter =
    init === undefined
      ? this
      : createHook({ init, ...(destroy === undefined ? {} : { destroy }), trackPromises: false });
  enable.call(lighter);
  return this;
};
