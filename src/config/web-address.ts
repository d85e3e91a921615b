// Addresses that messages are sent to. What could not be sent to is said here, when the settings are read: found out in the
// middle of a run it would cost the run, or nobody would ever hear of it. No text repeats the address, which is a secret.

import { ValueError } from './problem.ts';
import { parseText } from './values.ts';

/** An http or https URL that is a secret itself, as it was written. Throws `ValueError`. */
export function parseSecretUrl(text: string): string {
  readUrl(text);
  return text;
}

/** The address of an ntfy topic. Throws `ValueError`. */
export function parseNtfyUrl(text: string): string {
  const topic = readUrl(text).pathname.split('/').at(-1) ?? '';
  if (!/^[-\w]{1,64}$/.test(topic)) {
    throw new ValueError('does not end in a topic of letters, digits, - and _', {
      remedy: "Write the topic's address, such as 'https://ntfy.sh/my-backups'",
    });
  }
  return text;
}

/** The address of a dead man's switch, without what is added to it. Throws `ValueError`. */
export function parsePingUrl(text: string): string {
  const { pathname, search } = readUrl(text);
  const added = /\/(start|fail|log)\/*$/.exec(pathname)?.[1];
  if (added !== undefined) {
    throw new ValueError(`ends in /${added}, which is added to it as needed`, {
      remedy: `Write the address without '/${added}'`,
    });
  }
  if (/\/api\/push\/?$/.test(pathname) || (/^\/*$/.test(pathname) && search === '')) {
    throw new ValueError('does not say which check it is', { remedy: 'Write the whole address that the check shows' });
  }
  return text;
}

/** The address of a Gotify server, with the token of an application: `https://gotify.example.com/?token=A…`. Throws `ValueError`. */
export function parseGotifyUrl(text: string): string {
  if ((readUrl(text).searchParams.get('token') ?? '') === '') {
    throw new ValueError('has no token of an application', {
      remedy: "Write 'https://gotify.example.com/?token=' and the token that Gotify shows under Apps",
    });
  }
  return text;
}

/** The address of an Apprise API: `http://apprise:8000/notify/KEY`. Throws `ValueError`. */
export function parseAppriseUrl(text: string): string {
  if (!/\/notify\/[^/]+\/*$/.test(readUrl(text).pathname)) {
    throw new ValueError('is not the address of an Apprise configuration', {
      remedy: "Write 'http://apprise:8000/notify/' and the key of the configuration",
    });
  }
  return text;
}

/** A server alone: scheme, host and port. Throws `ValueError`. */
export function parseServerUrl(text: string): string {
  const url = readUrl(text);
  if (url.pathname.replaceAll('/', '') !== '' || url.search !== '' || url.hash !== '' || url.username !== '') {
    throw new ValueError('more than a server', { remedy: "Write scheme and host alone, 'https://matrix.example.org'" });
  }
  return url.origin;
}

function readUrl(text: string): URL {
  const url = URL.parse(parseText(text));
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ValueError('not a web address', { remedy: "Write a URL that starts with 'https://'" });
  }
  if (![url.username, url.password, url.pathname].every(isDecodable)) throw new ValueError(...undecodable);
  return url;
}

/** What to say of an address in which a `%` stands for itself. */
export const undecodable = [
  "has a '%' that encodes nothing",
  { remedy: "Write '%25' for a percent sign (and '%40' for '@', '%2F' for '/' in a user or password)" },
] as const;

/** Whether every `%` in a part of an address encodes something: whoever takes it apart throws otherwise. */
export function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
