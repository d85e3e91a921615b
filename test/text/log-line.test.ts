import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createLog } from '../../src/log.ts';
import { createLogLine } from '../../src/text/log-line.ts';

const log = (render: boolean, columns = 80) => {
  const lines: string[] = [];
  const made = createLog({
    level: 'info',
    render: render ? createLogLine({ timeZone: 'Europe/Berlin', columns: () => columns }) : null,
    redact: (text) => text.replaceAll('hunter2', '[secret]'),
    write: (text) => void lines.push(text),
  });
  return { log: made, text: () => lines.join('') };
};

it('without a terminal a record is JSON, with its level as a word and its time in ISO', () => {
  const { log: made, text } = log(false);
  made.warn({ store: 'local' }, 'Something');
  const record = JSON.parse(text()) as Readonly<Record<string, unknown>>;
  assert.equal(record['level'], 'warn');
  assert.match(String(record['time']), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual([record['store'], record['msg']], ['local', 'Something']);
});

it('at a terminal a record is a sentence in lines that fit, with no JSON at its end', () => {
  const { log: made, text } = log(true);
  const error = Object.assign(new Error('no space is left on the disk, says hunter2'), { hint: 'Free some space.' });
  made.warn({ err: error, store: 'directory /backups', bytes: 1536, tookMs: 61_000, rows: { users: 3 } }, 'Not stored');
  made.info({ store: 'directory /backups' }, 'Stored in directory /backups');
  made.info({ keys: ['a', 'b'], holds: [{}], nothing: null }, 'Looked');
  const printed = text();
  assert.match(printed, /^\[\d\d:\d\d:\d\d\] WARN: Not stored: no space is left on the disk, says \[secret\]/);
  assert.match(
    printed.replaceAll(/\s+/g, ' '),
    /\(store directory \/backups, bytes 1.5 KiB, took 1 min 1 s, users 3\)/,
  );
  assert.match(printed, /\n {11}-> Free some space\.\n/);
  assert.match(printed, /INFO: Stored in directory \/backups\n/);
  assert.match(printed, /INFO: Looked \(keys a b, holds 1\)\n/);
  assert.doesNotMatch(printed, /[{}"]/);
  for (const line of printed.split('\n')) assert.ok(line.length < 80, line);
});

it('the clock is that of the zone that was set', () => {
  const line = createLogLine({ timeZone: 'Asia/Tokyo', columns: () => 80 });
  assert.equal(line({ time: '2026-11-23T12:00:01Z', level: 'info', msg: 'x' }), '[21:00:01] INFO: x\n');
});
