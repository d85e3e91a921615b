// Dead man's switches: somebody else notices when nothing comes any more. healthchecks.io takes `/start`, success and `/fail`;
// Uptime Kuma's push URL takes `?status=up|down&msg=` and knows no start. They get every run, whatever BACKUP_NOTIFY says.
// Both answer 200 to what they do not know or do not take: a switch that was never armed would be believed in.

import { shorten } from '../text/shorten.ts';
import { DeliveryError, type Channel, type Delivery } from './channel.ts';
import { saidIn } from './http-answer.ts';
import { request, type Answer } from './http-request.ts';

const longestBody = 10_000;
const longestKumaMessage = 250;

/** `log` says nothing about backups. */
type Signal = 'start' | 'success' | 'fail' | 'log';

/** The service behind the URL is told by its path. */
export function createPing(pingUrl: string): Channel {
  const isKuma = new URL(pingUrl).pathname.includes('/api/push/');
  return {
    name: 'ping',
    filtered: false,
    async deliver(delivery, { signal }) {
      const sign = signalFor(delivery);
      if (sign === null) return;
      assertTaken(await (isKuma ? pushToKuma : pingHealthchecks)(pingUrl, { sign, delivery, signal }));
    },
  };
}

// healthchecks.io's `OK (not found)` and `OK (rate limited)`, Uptime Kuma's `{"ok":false,"msg":"Monitor not found …"}`.
function assertTaken({ text }: Answer): void {
  const remark = /^\s*OK \((.{1,100})\)/i.exec(text)?.[1];
  if (remark !== undefined) {
    const isUnknown = /not found/i.test(remark);
    const meaning = isUnknown
      ? 'there is no such check, and nobody will notice when backups stop: BACKUP_PING_URL is mistyped, or the check was deleted'
      : 'it was not counted';
    throw new DeliveryError(`The service answered 'OK (${remark})': ${meaning}`, { retryable: !isUnknown });
  }
  if (/"ok"\s*:\s*false/.test(text)) {
    throw new DeliveryError(`The service did not take it: ${saidIn(text)}`, { retryable: false });
  }
}

function signalFor({ event }: Delivery): Signal | null {
  switch (event.kind) {
    case 'run-started':
      return 'start';
    case 'run-succeeded':
      return 'success';
    case 'run-failed':
      return 'fail';
    case 'drill-ended':
      return event.status === 'failed' ? 'fail' : null;
    case 'test':
      return 'log';
    case 'attention':
      return null;
    default:
      return event satisfies never;
  }
}

interface Ping {
  readonly sign: Signal;
  readonly delivery: Delivery;
  readonly signal: AbortSignal;
}

async function pingHealthchecks(pingUrl: string, { sign, delivery, signal }: Ping): Promise<Answer> {
  const url = new URL(pingUrl);
  const suffix = { start: '/start', success: '', fail: '/fail', log: '/log' }[sign];
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${suffix}`;
  const text = delivery.message === null ? '' : `${delivery.message.title}\n\n${delivery.message.text}`;
  return request(url.href, {
    method: 'POST',
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: shorten(text, longestBody),
    signal,
  });
}

async function pushToKuma(pingUrl: string, { sign, delivery, signal }: Ping): Promise<Answer> {
  if (sign === 'start') return { status: 200, text: '' };
  const url = new URL(pingUrl);
  // It knows nothing that is neither up nor down.
  url.searchParams.set('status', sign === 'fail' ? 'down' : 'up');
  const { event, message } = delivery;
  const reason = event.kind === 'run-failed' ? `: ${event.message}` : '';
  url.searchParams.set('msg', shorten(`${message?.title ?? 'OK'}${reason}`, longestKumaMessage));
  url.searchParams.set('ping', event.kind === 'run-succeeded' ? String(event.durationMs) : '');
  return request(url.href, { method: 'GET', signal });
}
