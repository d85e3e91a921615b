import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeQR } from 'qr/decode.js';
import { qrModules, qrPath, qrText } from '../../src/kit/qr-code.ts';

/** What a scanner reads from modules as they are drawn, three pixels each. */
function scan(dark: (x: number, y: number) => boolean, size: number): string {
  const scale = 3;
  const width = size * scale;
  const data = new Uint8Array(width * width * 3);
  for (let y = 0; y < width; y += 1)
    for (let x = 0; x < width; x += 1)
      data.fill(
        dark(Math.floor(x / scale), Math.floor(y / scale)) ? 0 : 255,
        (y * width + x) * 3,
        (y * width + x) * 3 + 3,
      );
  return decodeQR({ width, height: width, data });
}

describe('a QR code', () => {
  const text = `export INSTANCE=social.example &&\nprintf '%s\\n' 'ssh-ed25519 AAAA…' > "$WORK/äöü" &&\n${'x'.repeat(500)}`;
  const modules = qrModules(text);
  const size = modules.length;

  it('is read from its modules', () => {
    assert.equal(
      scan((x, y) => modules[y]?.[x] === true, size),
      text,
    );
  });

  it('is read from its path', () => {
    const drawn = new Set<string>();
    for (const [, x = '', y = '', length = ''] of qrPath(modules).matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g))
      for (let step = 0; step < Number(length); step += 1) drawn.add(`${Number(x) + step},${y}`);
    assert.equal(
      scan((x, y) => drawn.has(`${x},${y}`), size),
      text,
    );
  });

  it('is read from its blocks of text', () => {
    const lines = qrText(modules).map((line) => line.split(''));
    const isDark = (x: number, y: number): boolean =>
      (y % 2 === 0 ? ['█', '▀'] : ['█', '▄']).includes(lines[Math.floor(y / 2)]?.[x] ?? ' ');
    assert.equal(scan(isDark, size), text);
  });

  it('has a white margin of four modules', () => {
    const isEdge = (at: number): boolean => at < 4 || at >= size - 4;
    for (const [y, row] of modules.entries())
      for (const [x, dark] of row.entries()) if (isEdge(x) || isEdge(y)) assert.equal(dark, false);
  });
});
