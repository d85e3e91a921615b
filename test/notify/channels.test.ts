// Every channel against a server of its kind: what exactly arrives, and what happens when it does not.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { SMTPServer } from 'smtp-server';
import type { MessageSettings } from '../../src/config/messages.ts';
import { createRedactor } from '../../src/log.ts';
import { createChannels } from '../../src/notify/channels.ts';
import type { BackupEvent } from '../../src/notify/event.ts';
import { createNotifier, type ChannelOutcome } from '../../src/notify/notifier.ts';
import type { MailServer } from '../../src/config/messages.ts';
import { quietLog } from '../support/quiet-log.ts';
import { drilled, failed, noChannel, started, succeeded } from './events.ts';
import { startReceiver, type Receiver } from './receiver.ts';

const token = '12345678:AAtokenTokenTokenTokenTok';
const patience = { attempts: 3, attemptTimeoutMs: 400, pauseMs: 10, longestPauseMs: 100 };

describe('a channel', () => {
  let receiver: Receiver;
  let logged: string;
  before(async () => {
    receiver = await startReceiver();
  });
  after(async () => receiver[Symbol.asyncDispose]());
  beforeEach(() => {
    receiver.received.length = 0;
    receiver.answer({ status: 200 });
    logged = '';
  });

  const send = async (
    event: BackupEvent,
    settings: Partial<MessageSettings>,
    { server = null, signal = AbortSignal.timeout(10_000) }: { server?: MailServer | null; signal?: AbortSignal } = {},
  ): Promise<readonly ChannelOutcome[]> =>
    createNotifier({
      program: 'bin/mastodon-backup',
      channels: createChannels({ ...noChannel, ...settings }, { server, telegramUrl: receiver.url }),
      when: settings.when ?? 'always',
      timeZone: 'UTC',
      log: {
        ...quietLog,
        warn: (details, message) => {
          logged += JSON.stringify(details) + message;
        },
      },
      redact: createRedactor([token, 'hunter2-hunter2']),
      patience,
    }).send(event, { signal });
  const json = (): Record<string, unknown> => JSON.parse(receiver.received[0]?.body ?? '{}') as Record<string, unknown>;

  it('Telegram gets sendMessage', async () => {
    const outcomes = await send(succeeded, { telegram: { botToken: token, chatId: '-100123', threadId: null } });
    assert.deepEqual(outcomes, [{ channel: 'Telegram', error: null }]);
    assert.equal(receiver.received[0]?.path, `/bot${token}/sendMessage`);
    assert.equal(json()['chat_id'], '-100123');
    assert.match(String(json()['text']), /^Daily backup of social\.example done\n\nSnapshot: /);
    assert.equal(json()['parse_mode'], undefined);
    assert.equal(json()['disable_notification'], true);
    const long = { ...failed, message: 'x'.repeat(9_000) };
    await send(long, { telegram: { botToken: token, chatId: '1', threadId: null } });
    const { text } = JSON.parse(receiver.received[1]?.body ?? '{}') as { text: string };
    assert.equal(text.length, 4_096);
  });

  it('ntfy gets JSON at its root, with its topic and credentials', async () => {
    await send(failed, { ntfyUrl: `${receiver.url.replace('//', '//admin:p%40ss@')}/mastodon-backups?auth=abc` });
    assert.equal(receiver.received[0]?.path, '/?auth=abc');
    assert.equal(receiver.received[0]?.headers.authorization, `Basic ${Buffer.from('admin:p@ss').toString('base64')}`);
    assert.equal(json()['topic'], 'mastodon-backups');
    assert.equal(json()['priority'], 5);
    assert.equal(json()['title'], 'Daily backup of social.example FAILED');
  });

  it('Discord and Slack get a text that pings nobody', async () => {
    const nasty = { ...failed, message: '@everyone <!channel> & co' };
    await send(nasty, { discordUrl: `${receiver.url}/api/webhooks/1/x` });
    assert.match(String(json()['content']), /^❌ \*\*Daily/);
    assert.deepEqual(json()['allowed_mentions'], { parse: [] });
    receiver.received.length = 0;
    await send(nasty, { slackUrl: `${receiver.url}/services/T/B/x` });
    assert.match(String(json()['text']), /&lt;!channel&gt; &amp; co/);
  });

  it('a webhook gets every event as JSON', async () => {
    await send(drilled, { webhookUrl: `${receiver.url}/hook` });
    assert.deepEqual(json()['event'], drilled);
    assert.equal(json()['severity'], 'failure');
    assert.equal(json()['title'], 'Restore drill of social.example FAILED');
  });

  it('healthchecks.io gets start, success and fail', async () => {
    const pingUrl = `${receiver.url}/ping/0123-abc`;
    for (const event of [started, succeeded, failed, drilled]) await send(event, { pingUrl });
    assert.deepEqual(
      receiver.received.map(({ method, path }) => `${method} ${path}`),
      ['POST /ping/0123-abc/start', 'POST /ping/0123-abc', 'POST /ping/0123-abc/fail', 'POST /ping/0123-abc/fail'],
    );
    assert.match(receiver.received[2]?.body ?? '', /password authentication failed/);
  });

  it('Uptime Kuma gets up and down, and no start', async () => {
    const pingUrl = `${receiver.url}/api/push/AbCdEf?status=up&msg=OK&ping=`;
    for (const event of [started, succeeded, failed]) await send(event, { pingUrl });
    const urls = receiver.received.map(({ path }) => new URL(path, 'http://x'));
    assert.deepEqual(
      urls.map(({ pathname, searchParams }) => `${pathname} ${searchParams.get('status')} ${searchParams.get('ping')}`),
      ['/api/push/AbCdEf up 1266000', '/api/push/AbCdEf down '],
    );
    assert.match(urls[1]?.searchParams.get('msg') ?? '', /^Daily backup of social\.example FAILED: The database/);
  });

  it('is asked again after 500, 429 and silence, and not after 401', async () => {
    const webhookUrl = `${receiver.url}/hook`;
    receiver.answer({ status: 500 }, 'hang', { status: 200 });
    assert.deepEqual(await send(failed, { webhookUrl }), [{ channel: 'webhook', error: null }]);
    assert.equal(receiver.received.length, 3);
    receiver.answer({ status: 429, body: '{"parameters":{"retry_after":0.05}}' }, { status: 200 });
    assert.deepEqual(await send(failed, { webhookUrl }), [{ channel: 'webhook', error: null }]);
    receiver.received.length = 0;
    receiver.answer({ status: 401, body: 'Unauthorized' });
    assert.deepEqual(await send(failed, { webhookUrl }), [{ channel: 'webhook', error: 'HTTP 401: Unauthorized' }]);
    assert.equal(receiver.received.length, 1);
  });

  it('follows no redirect, which would carry a secret address elsewhere', async () => {
    receiver.answer({ status: 302, headers: { location: `${receiver.url}/elsewhere` } });
    const outcomes = await send(failed, { webhookUrl: `${receiver.url}/hook` });
    assert.match(outcomes[0]?.error ?? '', /HTTP 302/);
    assert.deepEqual(
      receiver.received.map(({ path }) => path),
      ['/hook'],
    );
  });

  it('that is down fails no one else, and is named without its secrets', async () => {
    receiver.answer({ status: 200 });
    const outcomes = await send(
      { ...failed, message: 'password hunter2-hunter2 was refused' },
      {
        webhookUrl: `${receiver.url}/hook`,
        slackUrl: 'http://127.0.0.1:9/services/T000/B000/verysecretsegment',
        discordUrl: 'http://host.invalid/api/webhooks/1/verysecretsegment',
        emailTo: ['admin@example.com'],
      },
    );
    assert.deepEqual(
      outcomes.map(({ channel, error }) => `${channel} ${error === null ? 'ok' : 'failed'}`),
      ['e-mail failed', 'webhook ok', 'Discord failed', 'Slack failed'],
    );
    const all = JSON.stringify(outcomes) + logged + JSON.stringify(receiver.received);
    assert.doesNotMatch(all, /verysecretsegment|hunter2-hunter2/);
    assert.match(JSON.stringify(outcomes), /SMTP_SERVER is not/);
  });

  it('gets what BACKUP_NOTIFY lets through; a dead man’s switch gets all', async () => {
    const settings = { webhookUrl: `${receiver.url}/hook`, pingUrl: `${receiver.url}/ping` };
    await send(succeeded, { ...settings, when: 'failure' });
    await send(failed, { ...settings, when: 'failure' });
    await send(failed, { ...settings, when: 'off' });
    assert.deepEqual(receiver.received.map(({ path }) => path).toSorted(), [
      '/hook',
      '/ping',
      '/ping/fail',
      '/ping/fail',
    ]);
  });

  it('is told of a failure that lasts only when it is a dead man’s switch', async () => {
    const settings = { webhookUrl: `${receiver.url}/hook`, pingUrl: `${receiver.url}/ping` };
    await send({ ...failed, repeated: true }, settings);
    assert.deepEqual(
      receiver.received.map(({ path }) => path),
      ['/ping/fail'],
    );
  });

  it('is given up at once when the daemon ends', async () => {
    receiver.answer('hang');
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error('ending')), 50);
    const startedAt = performance.now();
    const outcomes = await send(failed, { webhookUrl: `${receiver.url}/hook` }, { signal: stop.signal });
    assert.ok(performance.now() - startedAt < 350);
    assert.notEqual(outcomes[0]?.error, null);
  });

  describe('e-mail', () => {
    const mails: {
      readonly from: string;
      readonly to: readonly string[];
      readonly text: string;
      readonly user: unknown;
    }[] = [];
    const startSmtp = async (options: ConstructorParameters<typeof SMTPServer>[0]) => {
      const smtp = new SMTPServer({
        logger: false,
        ...options,
        onData(stream, session, callback) {
          let text = '';
          stream.on('data', (chunk: Buffer) => {
            text += chunk.toString('utf8');
          });
          stream.on('end', () => {
            const { mailFrom, rcptTo } = session.envelope;
            mails.push({
              from: mailFrom === false ? '' : mailFrom.address,
              to: rcptTo.map(({ address }) => address),
              text,
              user: session.user,
            });
            callback();
          });
        },
      });
      smtp.on('error', () => undefined);
      await new Promise<void>((resolve) => {
        smtp.listen(0, '127.0.0.1', resolve);
      });
      const address = smtp.server.address();
      if (address === null || typeof address === 'string') throw new Error('No port');
      const server: MailServer = {
        host: '127.0.0.1',
        port: address.port,
        implicitTls: false,
        startTls: 'auto',
        verifyCertificate: true,
        caFile: null,
        login: null,
        domain: 'social.example',
        from: 'Mastodon <notifications@social.example>',
        returnPath: null,
      };
      return { server, [Symbol.asyncDispose]: async () => new Promise<void>((resolve) => smtp.close(() => resolve())) };
    };
    beforeEach(() => {
      mails.length = 0;
    });

    it('goes through a server without authentication', async () => {
      await using smtp = await startSmtp({ authOptional: true, disabledCommands: ['AUTH', 'STARTTLS'] });
      const outcomes = await send(succeeded, { emailTo: ['a@example.com', 'b@example.com'] }, smtp);
      assert.deepEqual(outcomes, [{ channel: 'e-mail', error: null }]);
      assert.equal(mails[0]?.from, 'notifications@social.example');
      assert.deepEqual(mails[0]?.to, ['a@example.com', 'b@example.com']);
      assert.match(mails[0]?.text ?? '', /Subject: Daily backup of social\.example done/);
      // Quoted-printable breaks long lines.
      assert.match((mails[0]?.text ?? '').replaceAll('=\r\n', ''), /Next run: 2026-11-24 12:00 UTC/);
    });

    it('logs in over STARTTLS, and trusts no certificate of its own making unless told to', async () => {
      await using smtp = await startSmtp({
        onAuth: ({ username, password }, _session, callback) => {
          if (username === 'mailer' && password === 'hunter2-hunter2') callback(null, { user: username });
          else callback(new Error('Invalid username or password'));
        },
      });
      const login = { user: 'mailer', password: 'hunter2-hunter2', method: 'plain' } as const;
      const emailTo = ['a@example.com'];
      const refused = await send(failed, { emailTo }, { server: { ...smtp.server, login, startTls: 'always' } });
      assert.match(refused[0]?.error ?? '', /self[- ]signed|certificate/);
      const server = { ...smtp.server, login, startTls: 'always', verifyCertificate: false } as const;
      assert.deepEqual(await send(failed, { emailTo }, { server }), [{ channel: 'e-mail', error: null }]);
      assert.equal(mails[0]?.user, 'mailer');
      const wrong = { ...server, login: { ...login, password: 'wrong' } };
      assert.match((await send(failed, { emailTo }, { server: wrong }))[0]?.error ?? '', /Invalid (username|login)/);
    });
  });
});
