// Three weeks in seconds: a busy database whose log is stored every ten seconds, a base a week, retention every three hours, an hour and a day
// without the sidecar, and a promotion. At each of them every moment that is wanted can be had; and what it costs is what `doctor` says.

import assert from 'node:assert/strict';
import { it } from 'node:test';
import { whyBaseIsDue } from '../../src/pitr/base-due.ts';
import { planChain } from '../../src/pitr/chain-retention.ts';
import { formatLsn, segmentName, segmentStart, type Lsn } from '../../src/pitr/lsn.ts';
import { costOf } from '../../src/pitr/pitr-check.ts';
import type { Lineage } from '../../src/pitr/plan.ts';
import { createWalSink, type WalSink } from '../../src/pitr/wal-sink.ts';
import { windowOf } from '../../src/pitr/window.ts';
import { encodeBase, type BaseDocument } from '../../src/snapshots/base-document.ts';
import { readChain } from '../../src/snapshots/chain-catalogue.ts';
import { baseDocumentKey, baseKey, walKey } from '../../src/snapshots/chain-keys.ts';
import { removeOldChain, removeParts } from '../../src/snapshots/chain-law.ts';
import { createSnapshotId } from '../../src/snapshots/object-keys.ts';
import { createRepository } from '../../src/snapshots/repository.ts';
import type { ObjectKey } from '../../src/storage/store.ts';
import { baseOf, dayMs, instance, place, systemIdentifier } from '../support/chains.ts';
import { createCountedStore } from '../support/counted-store.ts';
import { quietLog } from '../support/quiet-log.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

const signal = new AbortController().signal;
const segmentBytes = 16 * 1024 * 1024;
const form = { compression: 'zstd', encrypted: false } as const;
/** Of the log, and of a base, what is left of them: as `doctor` estimates it. */
const compressed = 0.45;
const settings = { keepMs: 7 * dayMs, uploadEveryMs: 10_000 };
const baseSchedule = '30 4 * * 1';
const dataBytes = 20 * 1024 ** 3;
const walBytesATick = 20 * 1024;

it('three weeks: no gap at any time, whole chains and no more, and not more requests and bytes than doctor says', async (test) => {
  using folder = temporaryDirectory();
  let now = new Date('2026-11-02T00:00:00Z');
  const bucket = createCountedStore({ directory: folder.path, now: () => now });
  const { store, requests, objects } = bucket;
  const repository = createRepository(store);
  const wal = Buffer.alloc(walBytesATick, 1);
  let timeline = 1;
  let lineages: readonly Lineage[] = [[{ timeline: 1, end: null }]];
  let lsn: Lsn = 16n * 1024n * 1024n;
  const followsFrom = lsn;
  let sink: WalSink = createWalSink({ timeline, segmentBytes }, { from: lsn, storedTo: lsn });
  let parts: ObjectKey[] = [];
  let base: BaseDocument | null = null;
  let mostParts = 0;
  let mostBases = 0;

  const store1 = async (withPart: boolean): Promise<void> => {
    for (let piece = sink.next({ withPart }); piece !== null; piece = sink.next({ withPart })) {
      const part = piece.isWhole ? null : { from: piece.from, to: piece.to };
      const key = walKey(place, { segment: piece.segment, part, ...form });
      bucket.putSize(key, Math.ceil(piece.bytes.length * compressed));
      sink.stored(piece);
      if (!piece.isWhole) parts.push(key);
      else {
        await removeParts(repository, { whole: key, parts, log: quietLog, signal });
        parts = [];
      }
      mostParts = Math.max(mostParts, parts.length);
    }
  };
  const write = async (bytes: Buffer): Promise<void> => {
    sink.push(bytes);
    lsn += BigInt(bytes.length);
    await store1(false);
  };
  const makeBase = (): void => {
    const id = createSnapshotId(now);
    const at = formatLsn(lsn);
    const name = `${id}.tar.zst`;
    const startSegment = segmentName(lsn, { timeline, segmentBytes });
    const bytes = Math.ceil(dataBytes * compressed);
    const tar = { ...baseOf(0).tar, name, bytes };
    base = {
      ...baseOf(0),
      id,
      timeline,
      segmentBytes,
      startLsn: at,
      endLsn: at,
      startSegment,
      startedAt: now,
      endedAt: now,
      tar,
    };
    bucket.putSize(baseKey(place, name), bytes);
  };
  const look = async (): Promise<void> => {
    const following = {
      at: now.toISOString(),
      systemIdentifier,
      timeline,
      followsFrom: formatLsn(followsFrom),
      storedTo: formatLsn(sink.storedTo()),
      coveredAt: null,
      behindBytes: 0,
      slot: null,
      withoutSlot: null,
      problem: null,
    };
    const known =
      base === null
        ? null
        : {
            ...base,
            startedAt: base.startedAt.toISOString(),
            endedAt: base.endedAt.toISOString(),
            bytes: base.tar.bytes,
          };
    if (whyBaseIsDue({ following, base: known, schedule: baseSchedule, timeZone: 'UTC', now }) !== null) {
      makeBase();
      if (base !== null) await store.putDocument(baseDocumentKey(place, base.id), encodeBase(base), { signal });
    }
    const chain = await readChain(repository, { systemIdentifier, signal });
    const since = new Date(now.getTime() - settings.keepMs);
    const { keep, remove, hold } = planChain(chain, { place, instance, since, lineages });
    assert.equal(hold, null);
    if (remove.length > 0) await removeOldChain(repository, { systemIdentifier, keep, remove, log: quietLog, signal });
    const left = await readChain(repository, { systemIdentifier, signal });
    const { first, reaches, gaps } = windowOf(left, { lineages });
    assert.deepEqual(gaps, [], now.toISOString());
    assert.equal(reaches, sink.storedTo());
    const isFirstWeek = now.getTime() < Date.parse('2026-11-09T05:00:00Z');
    assert.ok(first !== null && (isFirstWeek || first.endedAt <= since), `every wanted moment at ${now.toISOString()}`);
    mostBases = Math.max(mostBases, left.bases.length);
  };

  const days = 21;
  let away = 0;
  const lastWeek = { classA: 0, classB: 0, bytes: 0, looks: 0 };
  for (let tick = 0; tick < (days * dayMs) / settings.uploadEveryMs; tick += 1) {
    now = new Date(now.getTime() + settings.uploadEveryMs);
    const day = (tick * settings.uploadEveryMs) / dayMs;
    // The server goes on without us, and keeps what it writes.
    if ((day >= 5 && day < 5 + 1 / 24) || (day >= 9.2 && day < 10.2)) {
      away += 1;
      continue;
    }
    for (; away > 0; away -= 1) await write(wal);
    if (timeline === 1 && day >= 7.4) {
      timeline = 2;
      const begin = segmentStart(lsn, segmentBytes);
      lineages = [
        ...lineages,
        [
          { timeline: 1, end: lsn },
          { timeline: 2, end: null },
        ],
      ];
      await store1(true);
      sink = createWalSink({ timeline, segmentBytes }, { from: begin, storedTo: begin });
      parts = [];
      sink.push(Buffer.alloc(Number(lsn - begin), 1));
    }
    await write(wal);
    await store1(true);
    if (tick % 1080 !== 0 && base !== null) continue;
    await look();
    if (day < 14) continue;
    lastWeek.looks += 1;
    lastWeek.bytes += [...objects.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    if (lastWeek.looks === 1) Object.assign(lastWeek, { classA: requests.classA, classB: requests.classB });
  }
  const classA = requests.classA - lastWeek.classA;
  const classB = requests.classB - lastWeek.classB;
  const storedBytes = lastWeek.bytes / lastWeek.looks;
  const estimate = costOf({
    walBytesADay: (walBytesATick * dayMs) / settings.uploadEveryMs,
    dataBytes,
    isSigned: false,
    settings,
  });
  const dollarsOf = (bytes: number, monthlyA: number): number =>
    Math.max(0, bytes / 1e9 - 10) * 0.015 + (Math.max(0, monthlyA - 1e6) / 1e6) * 4.5;
  const monthlyA = (classA / 7) * 30;
  test.diagnostic(
    `the third week: ${classA} writes and listings, ${classB} reads, ${(storedBytes / 1e9).toFixed(2)} GB on average in ${objects.size} objects at its end; on R2 $${dollarsOf(storedBytes, monthlyA).toFixed(2)} a month; doctor says $${estimate.dollarsAMonth.toFixed(2)}, ${(estimate.storedBytes / 1e9).toFixed(2)} GB and ${estimate.writesAMonth} writes a month`,
  );
  assert.ok(mostBases <= 3, `${mostBases} bases`);
  assert.ok(mostParts <= Math.ceil(segmentBytes / walBytesATick) + 1, `${mostParts} parts`);
  assert.ok(monthlyA < estimate.writesAMonth * 1.1, `${monthlyA} writes a month, ${estimate.writesAMonth} estimated`);
  assert.ok(storedBytes <= estimate.storedBytes * 1.1, `${storedBytes} bytes, ${estimate.storedBytes} estimated`);
  assert.ok(storedBytes >= estimate.storedBytes * 0.5, `${storedBytes} bytes, ${estimate.storedBytes} estimated`);
});
