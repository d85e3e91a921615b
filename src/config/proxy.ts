// The proxy that the network asks for, as Node means these variables (NODE_USE_ENV_PROXY): one reading for every client, or what
// reaches the bucket would not reach the chat. The database is never behind it.

import type { SettingProblem } from './problem.ts';
import { isDecodable, undecodable } from './web-address.ts';

/** The variables in the form that Node's agents take. */
export interface ProxySettings {
  readonly HTTP_PROXY?: string;
  readonly HTTPS_PROXY?: string;
  readonly NO_PROXY?: string;
}

const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'] as const;

/** The proxies that are set, in lower case or else in upper case, as curl and Node take them; null: none is. */
export function readProxy(valueOf: (name: string) => string | undefined): ProxySettings | null {
  const found = names.flatMap((name) => {
    const value = [name.toLowerCase(), name].map(valueOf).find((text) => text !== undefined && text !== '');
    if (value === undefined) return [];
    // curl and what else reads them take a bare host and port for HTTP.
    const isBare = name !== 'NO_PROXY' && !value.includes('://');
    return [[name, isBare ? `http://${value}` : value] as const];
  });
  const settings: ProxySettings = Object.fromEntries(found);
  return settings.HTTP_PROXY === undefined && settings.HTTPS_PROXY === undefined ? null : settings;
}

/** What is no address of a proxy, or one that Node's agents would throw at instead of taking its user and password from it. */
export function findProxyProblems(proxy: ProxySettings | null): readonly SettingProblem[] {
  return (['HTTP_PROXY', 'HTTPS_PROXY'] as const).flatMap((variable) => {
    const text = proxy?.[variable];
    const url = text === undefined ? null : URL.parse(text);
    if (text === undefined) return [];
    const wrong = { variable, shownValue: '[hidden]' };
    if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === '') {
      const remedy = "Write a URL such as 'http://proxy.example:3128', or remove it";
      return [{ ...wrong, problem: 'not the address of a proxy', remedy }];
    }
    if ([url.username, url.password].every(isDecodable)) return [];
    const [problem, { remedy }] = undecodable;
    return [{ ...wrong, problem, remedy }];
  });
}
