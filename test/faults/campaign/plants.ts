// Bugs planted on purpose, each in a copy of the sources: a campaign that finds nothing has shown something only when it finds
// these. `npm run test:faults -- --plants` tries all of them, `--plant NAME` one.

import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** A bug, and how it is found. */
export interface Plant {
  readonly name: string;
  readonly what: string;
  /** Words of the violation that it brings about; any other is none of its own. */
  readonly shows: string;
  readonly edits: readonly { readonly file: string; readonly find: string; readonly put: string }[];
  /** The faults that touch it; the whole campaign finds it too, later. */
  readonly where: readonly string[];
}

/** All of them. */
export const plants: readonly Plant[] = [
  {
    name: 'gate',
    shows: 'was stored of a dump that failed',
    what: "the gate does not wait for pg_dump's exit",
    edits: [{ file: 'src/stream/gate.ts', find: 'producers().then(', put: 'Promise.resolve().then(' }],
    where: ['--operation', 'run', '--family', 'process', '--only', 'pg_dump (killed|terminated|fails) after'],
  },
  {
    name: 'exit-status',
    shows: 'cannot have',
    what: 'nobody looks how pg_dump ended',
    edits: [
      {
        file: 'src/database/dump.ts',
        find: 'if (!exitedWell(exit)) throw dumpError(exit, options);\n        ended = true;',
        put: 'ended = true;',
      },
    ],
    where: ['--operation', 'run', '--family', 'process', '--only', 'pg_dump (fails|is killed) after all'],
  },
  {
    name: 'manifest-first',
    shows: 'does not restore',
    what: 'the manifest is written before the verification',
    edits: [
      {
        file: 'src/backup/commit-point.ts',
        find: 'const method = await verifyAt(destination, { ...made, base, options });',
        put: "const method = 'full' as const;",
      },
      {
        file: 'src/backup/commit-point.ts',
        find: 'manifest: await commit(destination, { ...options, manifest, method }) };',
        put: 'manifest: await commit(destination, { ...options, manifest, method }).then(async (committed) => { await verifyAt(destination, { ...made, base, options }); return committed; }) };',
      },
    ],
    where: ['--operation', 'run', '--family', 'network', '--only', 'flipped bit.*dump'],
  },
  {
    name: 'prune-after-failure',
    shows: 'was removed though nothing new came',
    what: 'retention works where the run has stored nothing',
    edits: [
      {
        file: 'src/app/run-pruning.ts',
        find: 'manifests.some(({ destination }) => destination.repository === repository),',
        put: 'manifests.length > 0 && repository !== undefined,',
      },
    ],
    where: ['--operation', 'run', '--family', 'directory', '--only', 'bytes left'],
  },
  {
    name: 'upload-not-aborted',
    shows: 'is left unfinished',
    what: 'an upload that is given up is not aborted',
    edits: [{ file: 'src/storage/s3-upload.ts', find: 'leavePartsOnError: false', put: 'leavePartsOnError: true' }],
    where: ['--operation', 'run', '--family', 'process', '--only', '\\(large.*(pg_dump|terminated (after|at))'],
  },
  {
    name: 'database-left',
    shows: 'left: database',
    what: 'a restore that fails leaves its temporary database',
    edits: [
      {
        file: 'src/restore/restore-anew.ts',
        find: 'await temporary?.drop();',
        put: '',
      },
    ],
    where: ['--operation', 'restore', '--family', 'process', '--only', 'pg_restore (killed|terminated|fails)'],
  },
  {
    name: 'no-lock',
    shows: 'another run ended with',
    what: 'a run takes no lock',
    edits: [
      {
        file: 'src/app/locking.ts',
        find: "name = 'run',",
        put: 'name = `run-${process.pid}-${Math.random()}` as never,',
      },
    ],
    where: ['--operation', 'run', '--family', 'process', '--only', 'another run is started'],
  },
  {
    name: 'parts-first',
    shows: 'is listed without',
    what: 'retention removes the dump before its manifest',
    edits: [
      {
        file: 'src/snapshots/deletion-law.ts',
        find: '  await store.remove(key, { signal });\n  for (const { name } of decoded.manifest.parts)\n    await store.remove(partKey(prefix, { tier: manifest.tier, name }), { signal });',
        put: '  for (const { name } of decoded.manifest.parts)\n    await store.remove(partKey(prefix, { tier: manifest.tier, name }), { signal });\n  await store.remove(key, { signal });',
      },
    ],
    where: ['--operation', 'prune', '--family', 'process', '--only', 'killed at request'],
  },
];

const root = fileURLToPath(new URL('../../../', import.meta.url));
/** Each is found long before. */
const mostFaults = 150;

interface Trial {
  readonly seed: number;
  readonly lanes: number;
  /** Longest for each. */
  readonly minutes: number;
}

/** Plants one bug, or all one after the other, and says in a table how each was caught. Resolves to whether all were. */
export async function tryPlants(name: string, trial: Trial): Promise<boolean> {
  const wanted = plants.filter((plant) => name === 'all' || plant.name === name);
  if (wanted.length === 0)
    throw new Error(`There is no plant '${name}': ${plants.map((plant) => plant.name).join(', ')}`);
  const rows: (readonly string[])[] = [];
  const caught: boolean[] = [];
  for (const plant of wanted) {
    const startedAt = performance.now();
    const found = await tryPlant(plant, trial);
    caught.push(found !== undefined);
    process.stdout.write(`${plant.name}: ${plant.what}\n  ${found?.words ?? 'NOT CAUGHT'}\n`);
    rows.push([
      plant.name,
      plant.what,
      found === undefined ? 'NOT CAUGHT' : `at the ${found.tried}. fault`,
      `${Math.round((performance.now() - startedAt) / 1_000)} s`,
    ]);
  }
  const table = [['plant', 'what is wrong', 'caught', 'in'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  const lines = table.map((row) => row.map((text, column) => text.padEnd(widths[column] ?? 0)).join('  '));
  process.stdout.write(
    `\n${lines.join('\n')}\n${caught.filter(Boolean).length} of ${caught.length} caught, seed ${trial.seed}\n`,
  );
  return caught.every(Boolean);
}

async function tryPlant(
  plant: Plant,
  { seed, lanes, minutes }: Trial,
): Promise<{ readonly tried: number; readonly words: string } | undefined> {
  const copy = mkdtempSync(path.join(tmpdir(), 'mastodon-backup-plant-'));
  try {
    for (const folder of ['src', 'test']) {
      const filter = (file: string): boolean => path.basename(file) !== 'node_modules';
      cpSync(path.join(root, folder), path.join(copy, folder), { recursive: true, filter });
    }
    cpSync(path.join(root, 'package.json'), path.join(copy, 'package.json'));
    for (const modules of ['node_modules', 'test/servers/node_modules'])
      symlinkSync(path.join(root, modules), path.join(copy, modules));
    for (const { file, find, put } of plant.edits) edit(path.join(copy, file), { find, put });
    const args = [
      '--seed',
      String(seed),
      '--faults',
      String(mostFaults),
      '--minutes',
      String(minutes),
      '--lanes',
      String(lanes),
      '--until',
      plant.shows,
    ];
    const child = spawn(
      process.execPath,
      [path.join(copy, 'test/faults/campaign/campaign.ts'), ...args, ...plant.where],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await new Promise<void>((resolve) => child.once('close', () => resolve()));
    const violations = output.split(/^VIOLATION at /m).slice(1);
    const found = violations.find((text) => text.includes(plant.shows))?.split('\n');
    if (found === undefined) return undefined;
    const words = `${found[0]}: ${found.find((line) => line.includes(plant.shows))?.trim()}`;
    return { words, tried: Number(/the (\d+)\. that was tried/.exec(words)?.[1]) };
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function edit(file: string, { find, put }: { readonly find: string; readonly put: string }): void {
  const text = readFileSync(file, 'utf8');
  if (text.split(find).length !== 2)
    throw new Error(`The plant is of another time: ${file} has not got exactly one '${find}'`);
  writeFileSync(
    file,
    text.replace(find, () => put),
  );
}
