// `list` and `verify`: what is there, snapshots first and apart from them what is not one; and whether a snapshot is what it
// says. Something damaged that stood among the others would be restored one day.

import type { Command } from 'commander';
import type { Folder } from '../schedule/tier.ts';
import { dumpOf, snapshotName } from '../snapshots/manifest.ts';
import { describeObjection } from '../snapshots/origin.ts';
import type { PublicKey } from '../config/ssh-keys.ts';
import type { StoreName } from '../storage/store.ts';
import { pinsOf } from '../snapshots/catalogue.ts';
import { formatBytes } from '../text/format.ts';
import { formatAge, formatDayAndTime, formatMinute, zoneName } from '../text/moment.ts';
import { formatTable, wrap, type Width, plural } from '../text/table.ts';
import { plainLine } from '../text/terminal.ts';
import type { PlacedCatalogue, VerifyResult } from '../app/reading-verbs.ts';
import { collect, parseFolder, parseStore, readSource, snapshotForms, type SourceOptions } from './arguments.ts';
import { print, type CommandContext } from './command-context.ts';
import { showProgress } from './progress-bar.ts';

interface VerifyOptions extends SourceOptions {
  readonly json?: boolean;
}

/** Adds the commands. */
export function addReadingCommands(program: Command, context: CommandContext): void {
  const { app, signal } = context;
  program
    .command('list')
    .description('committed snapshots, newest first')
    .option('--tier <tier>', 'one tier only', parseFolder)
    .option('--from <store>', 's3 or local', parseStore)
    .option('--json', 'print them as one JSON document')
    .action(async (options: { tier?: Folder; from?: StoreName; json?: boolean }) => {
      const catalogue = await app.list({ from: options.from ?? null, tier: options.tier ?? null, signal });
      print(context, {
        json: options.json,
        document: catalogueDocument(catalogue),
        text: renderCatalogue(catalogue, {
          columns: context.columns(),
          timeZone: app.timetable().timeZone,
          now: new Date(),
        }),
      });
    });

  program
    .command('verify')
    .description('read a snapshot back: hash it, decode it to the end')
    .argument('[snapshot]', snapshotForms, 'latest')
    .option('--identity <file>', 'age private key; without one an encrypted snapshot is hashed only', collect)
    .option('--from <store>', 's3 or local', parseStore)
    .option('--accept-unsigned', 'take what nobody who is trusted has signed for ours')
    .option('--instance <name>', 'which instance, when several share the prefix')
    .option('--json', 'print the result as one JSON document')
    .action(async (snapshot: string, options: VerifyOptions) => {
      using progress = showProgress(context.progress, app.log);
      const result = await app.verify({
        snapshot,
        ...(await readSource(options, context)),
        onProgress: progress.update,
      });
      progress[Symbol.dispose]();
      print(context, {
        json: options.json,
        document: {
          snapshot: snapshotName(result.manifest),
          hashed: true,
          decoded: result.decoded,
          secrets: result.secrets,
          extra: result.extra,
        },
        text: renderVerification(result, { columns: context.columns() }),
      });
    });
}

/** The JSON document of `list --json`. */
function catalogueDocument(catalogue: PlacedCatalogue): object {
  return {
    place: catalogue.place,
    snapshots: catalogue.snapshots,
    pinned: catalogue.pinned.map(({ tier, id }) => ({ tier, id })),
    withoutSecrets: catalogue.withoutSecrets.map(({ tier, id }) => ({ tier, id })),
    signedByOthers: catalogue.signedByOthers.map(({ manifest, signer }) => ({
      tier: manifest.tier,
      id: manifest.id,
      signer: signer.fingerprint,
      name: signer.comment === '' ? null : signer.comment,
    })),
    withoutExtra: catalogue.withoutExtra.map(({ tier, id }) => ({ tier, id })),
    damaged: catalogue.damaged.map(({ manifest, reason }) => ({ tier: manifest.tier, id: manifest.id, reason })),
    unsigned: catalogue.unsigned.map(({ manifest, objection, damage }) => ({
      tier: manifest.tier,
      id: manifest.id,
      dataAt: manifest.dataAt.toISOString(),
      reason: objection.kind,
      signer: objection.kind === 'stranger' ? objection.signer : null,
      damage,
    })),
    unreadable: catalogue.unreadable.map(({ key, reason }) => ({ key, reason })),
    unlisted: catalogue.unlisted.map(({ key, reason }) => ({ key, reason })),
    foreign: catalogue.foreign.map(({ key, bytes, modifiedAt }) => ({
      key,
      bytes,
      modifiedAt: modifiedAt.toISOString(),
    })),
  };
}

/** How it is shown. */
interface View extends Width {
  readonly timeZone: string;
  readonly now: Date;
}

/** The result of `list` as text. */
export function renderCatalogue(catalogue: PlacedCatalogue, view: View): string {
  const { snapshots, damaged, unsigned, unreadable, unlisted, foreign } = catalogue;
  const section = (title: string, rows: readonly (readonly string[])[]): string =>
    rows.length === 0
      ? ''
      : `${wrap(`${title}:`, { ...view, indent: 0 })}\n${formatLines(
          rows.map((row) => ['', ...row]),
          view,
        )}`;
  const parts = [
    snapshots.length === 0
      ? `No snapshots in ${catalogue.place}${unlisted.some(({ isTier }) => isTier) ? ', as far as it can be seen' : ''}\n`
      : renderTable(catalogue, view),
    section(
      'Tables that had rows in the snapshot before and have none',
      snapshots.flatMap((one) => {
        const { emptied = [] } = one.database;
        return emptied.length === 0 ? [] : [[snapshotName(one), emptied.join(', ')]];
      }),
    ),
    section(
      'Pinned, left alone by retention',
      catalogue.pinned.map((one) => [
        snapshotName(one),
        snapshots.some((other) => snapshotName(other) === snapshotName(one)) ? '' : 'there is no such snapshot',
      ]),
    ),
    section(
      "Restorable, but Mastodon's settings beside them are missing",
      catalogue.withoutSecrets.map((one) => [snapshotName(one)]),
    ),
    section(
      'Restorable, but the extra files beside them are missing',
      catalogue.withoutExtra.map((one) => [snapshotName(one)]),
    ),
    section(
      'Damaged, count for nothing',
      damaged.map(({ manifest, reason }) => [snapshotName(manifest), reason]),
    ),
    section(
      'Not signed by anybody trusted here, count for nothing and are never touched',
      unsigned.map(({ manifest, objection, damage }) => [
        snapshotName(manifest),
        formatMinute(manifest.dataAt, view.timeZone),
        [describeObjection(objection), ...(damage === null ? [] : [damage])].join('; '),
      ]),
    ),
    section(
      'Unreadable manifests, protected',
      unreadable.map(({ key, reason }) => [key, reason]),
    ),
    section(
      'Could not be listed; what is there is not known',
      unlisted.map(({ key, reason }) => [key, reason]),
    ),
    section(
      'Foreign, never touched',
      foreign.map(({ key, bytes }) => [key, formatBytes(bytes)]),
    ),
  ];
  return parts.filter((part) => part !== '').join('\n');
}

// By the name that the key has in our settings; what we signed ourselves needs none.
function describeSigner(signer: PublicKey | undefined): string {
  if (signer === undefined) return '';
  return signer.comment === '' ? signer.fingerprint : signer.comment;
}

/** Where there is less room than this, what few snapshots have stands under them. */
const widest = 120;

function renderTable(catalogue: PlacedCatalogue, view: View): string {
  const { snapshots } = catalogue;
  const isWide = view.columns >= widest;
  const signers = new Map(catalogue.signedByOthers.map(({ manifest, signer }) => [manifest, signer] as const));
  const several = new Set(snapshots.map(({ instance }) => instance)).size > 1;
  const isPinned = pinsOf(catalogue);
  const rows = snapshots.map((snapshot) => {
    const dump = dumpOf(snapshot);
    const signer = describeSigner(signers.get(snapshot));
    const notes = [
      ...(isPinned(snapshot) ? ['pinned'] : []),
      ...(snapshot.label === null ? [] : [`"${snapshot.label}"`]),
      ...(several ? [`of ${snapshot.instance}`] : []),
      ...(signer === '' || isWide ? [] : [`signed by ${signer}`]),
      ...(snapshot.verified.method === 'size' ? ['of its object the size alone was compared'] : []),
    ];
    return [
      snapshotName(snapshot),
      formatDayAndTime(snapshot.dataAt, view.timeZone),
      formatAge(snapshot.dataAt, view.now).replace(/ ago$/, ''),
      dump.encryption ?? 'NO',
      formatBytes(dump.bytes),
      ...(isWide && signers.size > 0 ? [signer] : []),
      ...(notes.length === 0 ? [] : [notes.join(', ')]),
    ];
  });
  const signedBy = isWide && signers.size > 0 ? ['SIGNED BY'] : [];
  const head = ['SNAPSHOT', `AT ${zoneName(view.now, view.timeZone)}`, 'AGE', 'ENCRYPTED', 'STORED', ...signedBy];
  return formatLines([head, ...rows], view);
}

// What is in a store is what others wrote: a label that breaks a line would make rows of its own.
function formatLines(rows: readonly (readonly string[])[], view: View): string {
  return formatTable(
    rows.map((row) => row.map(plainLine)),
    view,
  );
}

/** The result of `verify` as text. */
export function renderVerification(
  { manifest, place, decoded, secrets, extra }: VerifyResult,
  { columns }: Width,
): string {
  const name = snapshotName(manifest);
  const tables = Object.keys(manifest.database.rows).length;
  const size = formatBytes(dumpOf(manifest).bytes);
  const dump = decoded
    ? `${name} in ${place}: ${size} read back, hash right, decoded to the end, ${plural(tables, 'table')} with the rows of the manifest`
    : `${name} in ${place}: ${size} read back, hash right; NOT decoded: it is encrypted and there is no --identity`;
  return [dump, secretsLines[secrets], extraLines[extra]]
    .filter((line) => line !== '')
    .map((line) => `${wrap(line, { columns, indent: 2, firstIndent: 0 })}\n`)
    .join('');
}

const secretsLines = {
  none: '',
  hashed: "Mastodon's settings beside it: read back; NOT opened: there is no --identity",
  decrypted: "Mastodon's settings beside it: opened, its secrets are those of the manifest",
} as const;

const extraLines = {
  none: '',
  hashed: 'The extra files beside it: read back; NOT opened: there is no --identity',
  decrypted: 'The extra files beside it: opened',
} as const;
