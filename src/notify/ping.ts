// Dead man's switches: somebody else notices when nothing comes any more. healthchecks.io takes `/start`, success and `/fail`;
// Uptime Kuma's push URL takes `?status=up|down&msg=` and knows no start. They get every run, whatever BACKUP_NOTIFY says.

import type { Channel, Delivery } from './channel.ts';
import { request, shorten } from './http-request.ts';

const longestBody = 10_000;
const longestKumaMessage = 250;

type Signal = 'start' | 'success' | 'fail';

/** The service behind the URL is told by its path. */
export function createPing(pingUrl: string): Channel {
  const isKuma = new URL(pingUrl).pathname.includes('/api/push/');
  return {
    name: 'ping',
    filtered: false,
    async deliver(delivery, { signal }) {
      const sign = signalFor(delivery);
      if (sign === null) return;
      await (isKuma ? pushToKuma : pingHealthchecks)(pingUrl, { sign, delivery, signal });
    },
  };
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

async function pingHealthchecks(pingUrl: string, { sign, delivery, signal }: Ping): Promise<void> {
  const url = new URL(pingUrl);
  const suffix = { start: '/start', success: '', fail: '/fail' }[sign];
  url.pathname = `${url.pathname.replace(/\/+$/, '')}${suffix}`;
  const text = delivery.message === null ? '' : `${delivery.message.title}\n\n${delivery.message.text}`;
  await request(url.href, {
    method: 'POST',
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    body: shorten(text, longestBody),
    signal,
  });
}

async function pushToKuma(pingUrl: string, { sign, delivery, signal }: Ping): Promise<void> {
  if (sign === 'start') return;
  const url = new URL(pingUrl);
  url.searchParams.set('status', sign === 'success' ? 'up' : 'down');
  const { event, message } = delivery;
  const reason = event.kind === 'run-failed' ? `: ${event.message}` : '';
  url.searchParams.set('msg', shorten(`${message?.title ?? 'OK'}${reason}`, longestKumaMessage));
  url.searchParams.set('ping', event.kind === 'run-succeeded' ? String(event.durationMs) : '');
  await request(url.href, { method: 'GET', signal });
}
