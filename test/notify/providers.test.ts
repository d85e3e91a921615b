// Services as they really answer: in the body what the status does not say, and what each refusal means for an administrator.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MailServer, MessageSettings } from '../../src/config/messages.ts';
import type { Channel } from '../../src/notify/channel.ts';
import { createChannels } from '../../src/notify/channels.ts';
import type { BackupEvent } from '../../src/notify/event.ts';
import { createNotifier } from '../../src/notify/notifier.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startApprise } from '../support/providers/apprise.ts';
import { startGotify } from '../support/providers/gotify.ts';
import { startHealthchecks } from '../support/providers/healthchecks.ts';
import { startMatrix } from '../support/providers/matrix.ts';
import { startProvider } from '../support/providers/provider.ts';
import { startTelegram } from '../support/providers/telegram.ts';
import { startUptimeKuma } from '../support/providers/uptime-kuma.ts';
import { failed, noChannel, succeeded } from './events.ts';

const signal = AbortSignal.timeout(1_800_000);
const token = '12345678:AAtokenTokenTokenTokenTok';

interface Options {
  readonly server?: MailServer;
  readonly telegramUrl?: string;
}

const channelOf = (settings: Partial<MessageSettings>, { server, telegramUrl }: Options = {}): Channel => {
  const [channel] = createChannels(
    { ...noChannel, ...settings },
    { server: server ?? null, ...(telegramUrl === undefined ? {} : { telegramUrl }) },
  );
  assert.ok(channel !== undefined);
  return channel;
};

/** What became of it; null: it was taken. */
const outcome = async (
  event: BackupEvent,
  settings: Partial<MessageSettings>,
  options: Options = {},
): Promise<string | null> => {
  const notifier = createNotifier({
    program: 'bin/mastodon-backup',
    channels: [channelOf(settings, options)],
    when: 'always',
    timeZone: 'UTC',
    log: quietLog,
    redact: (text) => text,
    patience: { attempts: 2, attemptTimeoutMs: 2_000, pauseMs: 5, longestPauseMs: 200 },
  });
  const [first] = await notifier.send(event, { signal });
  return first === undefined ? 'nothing was sent' : first.error;
};

const examined = async (settings: Partial<MessageSettings>, options: Options = {}): Promise<string> => {
  const channel = channelOf(settings, options);
  assert.ok(channel.examine !== undefined);
  return channel.examine({ signal });
};

describe('a service', () => {
  it('healthchecks.io says in an OK that it does not know the check: nobody would notice when backups stop', async () => {
    await using provider = await startHealthchecks({ check: 'known' });
    assert.equal(await outcome(succeeded, { pingUrl: `${provider.url}/known` }), null);
    assert.match(
      (await outcome(succeeded, { pingUrl: `${provider.url}/mistyped` })) ?? '',
      /'OK \(not found\)': there is no such check, and nobody will notice/,
    );
    // Asked for once: another try would find no other check.
    assert.equal(provider.requests.length, 2);
  });

  it('healthchecks.io that counts no more pings says so, and is asked again', async () => {
    let count = 0;
    await using provider = await startProvider(() => ({
      status: 200,
      body: count++ === 0 ? 'OK (rate limited)' : 'OK',
    }));
    assert.equal(await outcome(succeeded, { pingUrl: `${provider.url}/known` }), null);
    assert.equal(provider.requests.length, 2);
  });

  it('Uptime Kuma refuses an unknown monitor in the body', async () => {
    await using provider = await startUptimeKuma({ token: 'AbCd' });
    assert.equal(await outcome(succeeded, { pingUrl: `${provider.url}/api/push/AbCd` }), null);
    assert.match(
      (await outcome(succeeded, { pingUrl: `${provider.url}/api/push/mistyped` })) ?? '',
      /did not take it: Monitor not found or not active/,
    );
  });

  it('Telegram writes into a topic, is asked who the bot is, and its refusals come with what to do', async () => {
    const known = { token, chat: '-1001', thread: 7 };
    await using provider = await startTelegram(known);
    const at = { telegramUrl: provider.url };
    const telegram = { botToken: token, chatId: '-1001', threadId: 7 };
    assert.equal(await outcome(succeeded, { telegram }, at), null);
    assert.equal((JSON.parse(provider.requests[0]?.body ?? '') as { message_thread_id: number }).message_thread_id, 7);
    assert.match((await outcome(succeeded, { telegram: { ...telegram, threadId: 8 } }, at)) ?? '', /THREAD_ID/);
    assert.match(
      (await outcome(succeeded, { telegram: { ...telegram, chatId: '2' } }, at)) ?? '',
      /chat not found.*; write to the bot once/,
    );
    assert.equal(await examined({ telegram }, at), 'the bot @backup_bot sees the chat');
    await assert.rejects(examined({ telegram: { ...telegram, botToken: `${token}x` } }, at), /HTTP 401: Unauthorized/);
    assert.equal(provider.requests.filter(({ path }) => path.endsWith('sendMessage')).length, 3);
  });

  it('Gotify gets the token as a header, never in the address', async () => {
    await using provider = await startGotify({ token: 'Atoken' });
    assert.equal(await outcome(failed, { gotifyUrl: `${provider.url}/?token=Atoken` }), null);
    const [{ path, body } = { path: '', body: '' }] = provider.requests;
    assert.equal(path, '/message');
    assert.deepEqual(
      (({ title, priority }: { title: string; priority: number }) => [title, priority])(
        JSON.parse(body) as { title: string; priority: number },
      ),
      ['Daily backup of social.example FAILED', 8],
    );
    assert.match(
      (await outcome(failed, { gotifyUrl: `${provider.url}/message?token=Awrong` })) ?? '',
      /^HTTP 401: you need to provide a valid access token/,
    );
    assert.match(await examined({ gotifyUrl: `${provider.url}/?token=Atoken` }), /the server answers/);
    assert.doesNotMatch(provider.requests.map((one) => one.path).join(), /token/);
  });

  it('Apprise passes on, and one that has nothing to pass on to is no success', async () => {
    await using provider = await startApprise({ key: 'backups', down: 'broken' });
    assert.equal(await outcome(failed, { appriseUrl: `${provider.url}/notify/backups` }), null);
    assert.deepEqual(
      ((body: Record<string, unknown>) => [body['type'], body['format']])(
        JSON.parse(provider.requests[0]?.body ?? '{}') as Record<string, unknown>,
      ),
      ['failure', 'text'],
    );
    assert.match((await outcome(failed, { appriseUrl: `${provider.url}/notify/mistyped` })) ?? '', /no configuration/);
    assert.match(
      (await outcome(failed, { appriseUrl: `${provider.url}/notify/broken` })) ?? '',
      /^HTTP 424: One or more notifications could not be sent/,
    );
    assert.match(await examined({ appriseUrl: `${provider.url}/notify/backups` }), /has a configuration/);
    await assert.rejects(examined({ appriseUrl: `${provider.url}/notify/mistyped` }), /no configuration/);
  });

  it('Matrix gets one event in its room although it was asked to wait', async () => {
    const known = { token: 'syt_token', roomId: '!abc:example.org', alias: '#ops:example.org', busy: true };
    await using provider = await startMatrix(known);
    const matrix = { homeserver: provider.url, room: known.alias, token: known.token };
    assert.equal(await outcome(failed, { matrix }), null);
    const sent = [...provider.events.values()] as readonly { msgtype: string; body: string }[];
    assert.equal(sent.length, 1);
    assert.match(sent[0]?.body ?? '', /^Daily backup of social\.example FAILED\n\nStep: /);
    assert.match(
      (await outcome(failed, { matrix: { ...matrix, room: '!other:example.org' } })) ?? '',
      /^HTTP 403: User not in room/,
    );
    assert.match((await outcome(failed, { matrix: { ...matrix, token: 'no' } })) ?? '', /401: Unrecognised access/);
    assert.match((await outcome(failed, { matrix: { ...matrix, room: '#no:example.org' } })) ?? '', /alias not found/);
    assert.equal(await examined({ matrix }), "the token is @backup:example.org's");
  });

  it('that redirects is not followed, and the sentence says where to without the path', async () => {
    await using provider = await startProvider(({ path }) => ({
      status: 301,
      headers: { location: `https://hooks.example.org${path}` },
    }));
    const text = (await outcome(failed, { webhookUrl: `${provider.url}/hook/very-secret-segment` })) ?? '';
    assert.match(text, /HTTP 301 \(it redirects to https:\/\/hooks\.example\.org, which is not followed/);
    assert.doesNotMatch(text, /very-secret/);
  });

  it('that refuses is quoted in its own words, whatever it wraps them in', async () => {
    for (const [body, says] of [
      [{ message: 'Unknown Webhook', code: 10015 }, /^HTTP 404: Unknown Webhook \(there is nothing at this address/],
      ['<!DOCTYPE html><html><head><title>404\n Not Found</title></head></html>', /^HTTP 404: 404 Not Found \(/],
      ['no_team', /^HTTP 404: no_team \(/],
      [undefined, /^HTTP 404 \(there is nothing/],
      [{ code: 40403, error: 'page not found', link: 'https://ntfy.sh/docs' }, /^HTTP 404: page not found \(/],
    ] as const) {
      await using provider = await startProvider(() => ({ status: 404, body }));
      assert.match((await outcome(failed, { webhookUrl: `${provider.url}/hook` })) ?? '', says);
    }
  });

  it('before which a login stands has taken nothing, although it says 200', async () => {
    const page = '\uFEFF<!-- portal -->\n<!DOCTYPE html><html><head><title>Sign in</title></head><body></body></html>';
    await using provider = await startProvider(() => ({ status: 200, body: page }));
    const { url } = provider;
    const matrix = { homeserver: url, room: '!room:example.org', token: 'syt_token' };
    for (const settings of [
      { pingUrl: `${url}/check` },
      { pingUrl: `${url}/api/push/AbCd` },
      { ntfyUrl: `${url}/topic` },
      { discordUrl: `${url}/api/webhooks/1/x` },
      { slackUrl: `${url}/services/x` },
      { appriseUrl: `${url}/notify/key` },
      { gotifyUrl: `${url}/?token=AbC` },
      { matrix },
    ])
      assert.match(
        (await outcome(failed, settings)) ?? '',
        /^It answered with a web page \('Sign in'\).*a login stands before it/,
        JSON.stringify(settings),
      );
    await assert.rejects(examined({ ntfyUrl: `${url}/topic` }), /web page/);
    // Somebody's own program may answer so, and what is called HTML and is none is no page.
    assert.equal(await outcome(failed, { webhookUrl: `${url}/hook` }), null);
    await using php = await startProvider(() => ({
      status: 200,
      body: 'OK',
      headers: { 'content-type': 'text/html' },
    }));
    assert.equal(await outcome(failed, { pingUrl: `${php.url}/check` }), null);
  });

  it('that limits messages says how long it asks to wait', async () => {
    await using provider = await startProvider(() => ({ status: 429, headers: { 'retry-after': '90' } }));
    assert.match(
      (await outcome(failed, { webhookUrl: `${provider.url}/hook` })) ?? '',
      /^HTTP 429 \(too many messages; it asks to wait 90 s\)/,
    );
    const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
    await using other = await startProvider(() => ({ status: 429, headers: { 'retry-after': inAnHour } }));
    assert.match((await outcome(failed, { webhookUrl: `${other.url}/hook` })) ?? '', /wait (?:60|59\.\d) min/);
  });

  it('whose host refuses on every address has a reason', async () => {
    // Two addresses at once make an AggregateError without a message of its own.
    const gone = await startProvider(() => ({ status: 200 }));
    await gone[Symbol.asyncDispose]();
    const port = new URL(gone.url).port;
    const text = (await outcome(failed, { webhookUrl: `http://localhost:${port}/hook` })) ?? '';
    assert.match(text, /ECONNREFUSED/);
    const server = {
      host: 'localhost',
      port: Number(port),
      implicitTls: false,
      startTls: 'auto',
      verifyCertificate: true,
      caFile: null,
      login: null,
      domain: null,
      from: 'a@example.com',
      returnPath: null,
    } as const;
    const mail = (await outcome(failed, { emailTo: ['a@example.com'] }, { server })) ?? '';
    assert.match(mail, /ECONNREFUSED/);
    await assert.rejects(examined({ emailTo: ['a@example.com'] }, { server }), /ECONNREFUSED/);
  });

  it('gets user and password of any address as a header', async () => {
    await using provider = await startProvider(() => ({ status: 200 }));
    const withUser = provider.url.replace('//', '//admin:p%25%40ss@');
    for (const settings of [
      { webhookUrl: `${withUser}/hook` },
      { pingUrl: `${withUser}/check` },
      { pingUrl: `${withUser}/api/push/AbCd` },
      { ntfyUrl: `${withUser}/topic` },
      { appriseUrl: `${withUser}/notify/key` },
      { slackUrl: `${withUser}/services/x` },
    ])
      assert.equal(await outcome(succeeded, settings), null, JSON.stringify(settings));
    for (const { headers } of provider.requests)
      assert.equal(headers.authorization, `Basic ${Buffer.from('admin:p%@ss').toString('base64')}`);
  });

  it('whose address cannot even be taken apart fails like one that is down', async () => {
    for (const settings of [
      { ntfyUrl: 'http://user:100%safe@127.0.0.1:9/topic' },
      { gotifyUrl: 'nonsense' },
      { pingUrl: 'nonsense' },
      { webhookUrl: 'http://user:100%safe@127.0.0.1:9/hook' },
    ])
      assert.match((await outcome(failed, settings)) ?? '', /\S/);
  });
});
