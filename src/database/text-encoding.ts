// Names in an archive are in the encoding of its database, which need not be UTF-8. Read as if they were, two tables with
// accented names could become one, and no check would find any of them in the database that was restored.

/** PostgreSQL's names of its server encodings (manual, 24.3.1) and the labels of the WHATWG's for them. */
const labels: Readonly<Record<string, string>> = {
  LATIN2: 'iso-8859-2',
  LATIN3: 'iso-8859-3',
  LATIN4: 'iso-8859-4',
  LATIN5: 'iso-8859-9',
  LATIN6: 'iso-8859-10',
  LATIN7: 'iso-8859-13',
  LATIN8: 'iso-8859-14',
  LATIN9: 'iso-8859-15',
  LATIN10: 'iso-8859-16',
  ISO_8859_5: 'iso-8859-5',
  ISO_8859_6: 'iso-8859-6',
  ISO_8859_7: 'iso-8859-7',
  ISO_8859_8: 'iso-8859-8',
  WIN866: 'ibm866',
  WIN874: 'windows-874',
  WIN1250: 'windows-1250',
  WIN1251: 'windows-1251',
  WIN1252: 'windows-1252',
  WIN1253: 'windows-1253',
  WIN1254: 'windows-1254',
  WIN1255: 'windows-1255',
  WIN1256: 'windows-1256',
  WIN1257: 'windows-1257',
  WIN1258: 'windows-1258',
  KOI8R: 'koi8-r',
  KOI8U: 'koi8-u',
  EUC_CN: 'gb2312',
  EUC_JIS_2004: 'euc-jp',
  EUC_JP: 'euc-jp',
  EUC_KR: 'euc-kr',
};

/** Makes a text of bytes. */
export type DecodeText = (bytes: Buffer) => string;

/** How text in one of PostgreSQL's encodings is read; as UTF-8 where it is unknown, which leaves plain ASCII as it is. */
export function decoderOf(encoding: string): DecodeText {
  // The WHATWG's iso-8859-1 is windows-1252.
  if (encoding === 'LATIN1') return (bytes) => bytes.toString('latin1');
  const label = labels[encoding];
  if (label === undefined) return (bytes) => bytes.toString('utf8');
  const decoder = new TextDecoder(label, { ignoreBOM: true });
  return (bytes) => decoder.decode(bytes);
}
