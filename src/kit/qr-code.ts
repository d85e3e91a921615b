// A text as a QR code, for a phone that reads from paper what nobody wants to type. Printed small it must still be read, so the
// text has to stay far below the 2,953 bytes that the largest code holds.

import { encodeQR } from 'qr';

/** The modules of a code, row by row from the top, with the white margin that scanners ask for; true is dark. */
export function qrModules(text: string): readonly (readonly boolean[])[] {
  return encodeQR(text, 'raw', { ecc: 'low', border: 4 });
}

/** The dark modules as the path of an SVG whose user unit is one module. */
export function qrPath(modules: readonly (readonly boolean[])[]): string {
  const runs = modules.flatMap((row, y) =>
    [
      ...row
        .map((dark) => (dark ? '1' : '0'))
        .join('')
        .matchAll(/1+/g),
    ].map(({ index, 0: { length } }) => `M${index} ${y}h${length}v1h-${length}z`),
  );
  return runs.join('');
}

/** The code in blocks of a character for two modules, one above the other; dark is drawn. */
export function qrText(modules: readonly (readonly boolean[])[]): readonly string[] {
  return modules
    .filter((_row, y) => y % 2 === 0)
    .map((row, half) =>
      row
        .map((above, x) => {
          const below = modules[half * 2 + 1]?.[x] === true;
          if (above) return below ? '█' : '▀';
          return below ? '▄' : ' ';
        })
        .join(''),
    );
}
