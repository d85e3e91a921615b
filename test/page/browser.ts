// Debian's Chromium without a window: what a person would see at some width, by day or by night, and what axe-core says of it.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import puppeteer, { type Page } from 'puppeteer-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** How a page is looked at. */
export interface Sight {
  readonly width: number;
  readonly scheme: 'light' | 'dark';
}

/** A page that is open. */
export interface Sheet extends AsyncDisposable {
  readonly title: string;
  /** What has failed while it was loaded: requests, scripts, what the policy forbids. */
  readonly troubles: readonly string[];
  /** Looks at it in another way, without loading it again: what is served is the same for all. */
  see(sight: Sight): Promise<void>;
  /** How large it is, in pixels; wider than the window where something in it is. */
  size(): Promise<{ readonly width: number; readonly height: number }>;
  /** What stands on it. */
  text(): Promise<string>;
  /** How often it was loaded, by itself too. */
  loads(): number;
  /** What axe-core calls a violation, each with where it is. */
  violations(): Promise<readonly string[]>;
  /** A PNG of all of it, or of as much from its top as `height` pixels hold. */
  picture(options?: { readonly height?: number }): Promise<Uint8Array>;
  /** A PDF as it prints on A4. */
  print(): Promise<Uint8Array>;
}

/** A browser. */
export interface Browser extends AsyncDisposable {
  open(url: string, options?: { readonly password?: string }): Promise<Sheet>;
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly target: readonly string[]; readonly failureSummary: string }[];
}

/** Starts a browser; its disposer ends it. */
export async function startBrowser(): Promise<Browser> {
  const browser = await puppeteer.launch({
    executablePath: '/usr/bin/chromium',
    // A container has no user namespaces to give; the pages are our own.
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--hide-scrollbars', '--disable-lcd-text'],
  });
  return {
    async open(url, { password } = {}) {
      const tab = await browser.newPage();
      if (password !== undefined) await tab.authenticate({ username: 'anybody', password });
      return openSheet(tab, url);
    },
    [Symbol.asyncDispose]: async () => browser.close(),
  };
}

async function openSheet(tab: Page, url: string): Promise<Sheet> {
  const troubles: string[] = [];
  tab.on('console', (message) => troubles.push(message.text()));
  tab.on('requestfailed', (request) => troubles.push(`${request.url()} ${request.failure()?.errorText ?? ''}`));
  tab.on('pageerror', (error) => troubles.push(String(error)));
  let loads = 0;
  tab.on('load', () => {
    loads += 1;
  });
  await tab.goto(url, { waitUntil: 'load' });
  let width = 0;
  await tab.evaluate(axe);
  return {
    title: await tab.title(),
    troubles,
    async see(sight) {
      ({ width } = sight);
      await tab.setViewport({ width, height: 800, deviceScaleFactor: 1 });
      await tab.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: sight.scheme }]);
    },
    size: async () =>
      (await tab.evaluate(
        '(({ scrollWidth: width, scrollHeight: height }) => ({ width, height }))(document.documentElement)',
      )) as { readonly width: number; readonly height: number },
    text: async () => String(await tab.evaluate('document.body.innerText')),
    loads: () => loads,
    async violations() {
      const found = await tab.evaluate('axe.run().then(({ violations }) => violations)');
      return (found as readonly Violation[]).flatMap(({ id, nodes }) =>
        nodes.map(({ target, failureSummary }) => `${id} at ${target.join(' ')}: ${failureSummary}`),
      );
    },
    picture: async ({ height } = {}) =>
      tab.screenshot(
        height === undefined
          ? { fullPage: true }
          : { clip: { x: 0, y: 0, width, height }, captureBeyondViewport: true },
      ),
    print: async () => tab.pdf({ format: 'A4', preferCSSPageSize: true }),
    [Symbol.asyncDispose]: async () => tab.close(),
  };
}
