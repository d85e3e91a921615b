// The kit's section for a moment between backups, where base backups and log are stored: the stock commands of the documentation,
// filled in for one server. It comes last, for a dump is the first thing to bring back.

import { commands, text, type KitSection } from './kit-section.ts';
import { shellQuote } from './shell-word.ts';
import { type StockBucket } from './stock-objects.ts';

/** What is stored of a server's log. */
export interface StockChain {
  readonly systemIdentifier: string;
  readonly serverMajor: number;
  readonly encrypted: boolean;
}

/** The section. */
export function momentSection(
  chain: StockChain,
  { bucket, signers }: { readonly bucket: StockBucket | null; readonly signers: readonly string[] },
): KitSection {
  return {
    title: 'Instead of a backup: any moment of the last days',
    blocks: [
      text(
        `Base backups and the log behind them are in pitr/${chain.systemIdentifier}. With this program: mastodon-backup restore --at 'TIME' --to-database NAME. ` +
          `With stock tools: PostgreSQL ${chain.serverMajor} of the same kind of image (alpine or Debian), zstd and tar, as a user who is not root, in an empty directory, ` +
          `in the shell of the steps before${bucket === null ? '' : ' (get by the AWS client or rclone, not by curl)'}. Put in your moment, and the newest base that ended before it. ` +
          'PostgreSQL takes a hole in the log for its end and says nothing: look that the names in data/pitr-wal follow each other.' +
          (signers.length === 0
            ? ''
            : ' The stock commands look at no signature here, and a base that somebody else has put there can run what its settings say: with this program only what is signed is taken.'),
      ),
      commands('', momentCommands(chain, { hasGet: bucket !== null })),
    ],
  };
}

/** The commands; `FROM` is where the backups are, `WORK` where the private key is. */
export function momentCommands(
  { systemIdentifier, encrypted }: Pick<StockChain, 'systemIdentifier' | 'encrypted'>,
  { hasGet }: { readonly hasGet: boolean },
): readonly string[] {
  const folder = `pitr/${systemIdentifier}`;
  const decrypt = encrypted ? 'age -d -i "$WORK/key.txt" "$1" | zstd -dcq' : 'zstd -dcq "$1"';
  const conf = [
    `restore_command = 'cp "pitr-wal/%f" "%p"'`,
    `recovery_target_time = '$MOMENT'`,
    `recovery_target_action = 'promote'`,
  ];
  return [
    ...(hasGet ? [`get ${shellQuote(`${folder}/**`)}`] : []),
    `CHAIN="$FROM/${folder}"`,
    `grep -H '"endedAt"' "$CHAIN"/base/*.json`,
    `BASE="$CHAIN/base/ID.tar.zst${encrypted ? '.age' : ''}" MOMENT='2026-11-25 14:31:07+01'`,
    `plain() { ${decrypt}; }`,
    'mkdir -m 700 data && plain "$BASE" | tar -x -C data && mkdir -p data/pitr-wal',
    // Another name than ours is left alone: bash runs what a name holds where it counts with it.
    `for F in "$CHAIN"/wal/*/*.part.*; do case \${F##*/} in *.sig | *[!0-9A-Za-z.-]*) continue;; esac; N=\${F##*/} R=\${F##*.part.}; plain "$F" | dd of="data/pitr-wal/\${N%%.*}" oflag=seek_bytes seek=$((0x\${R%%-*})) conv=notrunc bs=1M status=none; truncate -s 16M "data/pitr-wal/\${N%%.*}"; done`,
    'for F in "$CHAIN"/wal/*/*.zst*; do N=${F##*/}; case $N in *.part.* | *.sig) ;; *) plain "$F" > "data/pitr-wal/${N%%.zst*}";; esac; done',
    `printf '%s\\n' ${conf.map((line) => `"${line.replaceAll('"', '\\"')}"`).join(' ')} >> data/postgresql.auto.conf`,
    'touch data/recovery.signal && postgres -D data',
  ];
}
