import assert from 'node:assert/strict';
import { it } from 'node:test';
import { decodeDrill, encodeDrill, type DrillDocument } from '../../src/drill/drill-record.ts';

const at = '2026-11-29T15:00:00.000Z';
const document: DrillDocument = {
  format: 1,
  id: '2026-11-29T150000Z-77ab01',
  instance: 'social.example',
  tool: { version: '0.0.0' },
  snapshot: 'daily/2026-11-29T120000Z-4f1c2a',
  dataAt: at,
  startedAt: at,
  endedAt: at,
  status: 'passed',
  durationMs: 1_000,
  serverVersion: '15.18',
  checks: [{ check: 'rows', status: 'ok', detail: 'as many as in the manifest', remedy: null }],
};

it('a drill record comes back as it was written, with fields of a newer version kept', () => {
  const later = { ...document, invented: { later: true } };
  assert.deepEqual(decodeDrill(encodeDrill(later)), later);
});

it('a drill record that is none is nothing, and never an exception', () => {
  for (const wrong of [
    { checks: [null] },
    { checks: 'none' },
    { checks: [{ ...document.checks[0], status: 'maybe' }] },
    { snapshot: 'elsewhere/2026-11-29T120000Z-4f1c2a' },
    { status: 'fine' },
    { endedAt: 'yesterday' },
    { durationMs: -1 },
    { format: 2 },
    { tool: null },
  ])
    assert.equal(decodeDrill(Buffer.from(JSON.stringify({ ...document, ...wrong }))), undefined, JSON.stringify(wrong));
  for (const text of ['', 'null', '[]', '{"format":1}', '\u{1F4A3}'])
    assert.equal(decodeDrill(Buffer.from(text)), undefined, text);
});
