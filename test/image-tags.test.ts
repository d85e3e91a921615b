// Under which tags a release is published, by the very step of the release workflow, with programs in the place of Docker and
// cosign that write down what they are asked: `latest` must not go back because an older line gets a patch, and whoever follows
// 1.2 must get it.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { parse } from 'yaml';
import { checkout } from './support/documentation.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

interface Workflow {
  readonly jobs: Readonly<
    Record<string, { readonly steps?: readonly { readonly name?: string; readonly run?: string }[] }>
  >;
}

const name = 'ghcr.io/somebody/mastodon-postgres-backup';
const digest = `sha256:${'d'.repeat(64)}`;
const workflow = parse(readFileSync(path.join(checkout, '.github/workflows/release.yml'), 'utf8')) as Workflow;
const step = workflow.jobs['publish']?.steps?.find((one) => one.name === 'Tag and sign')?.run ?? '';

/** One commit and no tag; git takes too long to make one for each. */
const repository = temporaryDirectory();
const git = (...args: readonly string[]): string =>
  execFileSync('git', ['-c', 'user.name=x', '-c', 'user.email=x@x', ...args], {
    cwd: repository.path,
    encoding: 'utf8',
  });
git('init', '--quiet', '--template=');
git('commit', '--quiet', '--allow-empty', '--message', 'All of it');
const commit = git('rev-parse', 'HEAD').trim();
mkdirSync(path.join(repository.path, '.git/refs/tags'), { recursive: true });
cpSync(path.join(checkout, '.github/image-tags.mjs'), path.join(repository.path, '.github/image-tags.mjs'));
after(() => repository[Symbol.dispose]());

interface Published {
  readonly status: number | null;
  /** What Docker and cosign were asked for, in order. */
  readonly asked: readonly string[];
  readonly said: string;
}

/** Publishes the release in a repository with these tags. */
function publish(
  tag: string,
  { released, suffix = '' }: { readonly released: readonly string[]; readonly suffix?: string },
): Published {
  using folder = temporaryDirectory();
  const at = (file: string): string => path.join(folder.path, file);
  cpSync(repository.path, at('repository'), { recursive: true });
  for (const one of released) writeFileSync(at(`repository/.git/refs/tags/${one}`), `${commit}\n`);
  for (const one of ['bin', 'digests']) mkdirSync(at(one));
  for (const one of ['a'.repeat(64), 'b'.repeat(64)]) writeFileSync(at(`digests/${one}`), '');
  writeFileSync(at('asked'), '');
  const note = `#!/bin/sh\necho "\${0##*/} $*" >> ${at('asked')}\n`;
  writeFileSync(at('bin/docker'), `${note}case "$*" in *inspect*) echo ${digest};; esac\n`, { mode: 0o755 });
  writeFileSync(at('bin/cosign'), note, { mode: 0o755 });
  // As GitHub runs a step.
  const { status, stdout, stderr } = spawnSync('bash', ['-e', '-c', step], {
    cwd: at('repository'),
    encoding: 'utf8',
    env: {
      PATH: `${at('bin')}:${process.env['PATH']}`,
      GITHUB_REPOSITORY: 'Somebody/mastodon-postgres-backup',
      GITHUB_STEP_SUMMARY: at('summary'),
      RUNNER_TEMP: folder.path,
      TAG: tag,
      SUFFIX: suffix,
    },
  });
  const asked = readFileSync(at('asked'), 'utf8').split('\n').filter(Boolean);
  return { status, asked, said: `${stdout}${stderr}` };
}

/** The tags that a release gets. */
function tagsOf(tag: string, options: Parameters<typeof publish>[1]): readonly string[] {
  const { status, asked, said } = publish(tag, options);
  assert.equal(status, 0, said);
  return asked.flatMap((line) => [...line.matchAll(/--tag \S+:(\S+)/g)].map((match) => match[1] ?? ''));
}

describe('a release', () => {
  const before = ['v0.9.0', 'v1.2.2', 'v1.2.3', 'v1.10.0', 'v1.10.0-rc.1', 'v3.0.0-rc.1', 'a-note'];

  it('that is the newest of all gets every tag', () => {
    const released = [...before, 'v1.10.1'];
    assert.deepEqual(tagsOf('v1.10.1', { released }), ['1.10.1', '1.10', '1', 'latest']);
    assert.deepEqual(tagsOf('v2.0.0', { released: [...before, 'v2.0.0'] }), ['2.0.0', '2.0', '2', 'latest']);
  });

  it('that patches an older line moves that line alone, not what others follow', () => {
    assert.deepEqual(tagsOf('v1.2.4', { released: [...before, 'v1.2.4'] }), ['1.2.4', '1.2']);
    const released = [...before, 'v2.0.0', 'v1.10.1'];
    assert.deepEqual(tagsOf('v1.10.1', { released }), ['1.10.1', '1.10', '1']);
  });

  it('that is published after its own successor moves nothing', () => {
    assert.deepEqual(tagsOf('v1.2.2', { released: before }), ['1.2.2']);
  });

  it('before 1.0 is followed by its minor: each of them may change what others rely on', () => {
    assert.deepEqual(tagsOf('v0.2.0', { released: ['v0.1.0', 'v0.2.0'] }), ['0.2.0', '0.2', 'latest']);
  });

  it('that is built again gets a name of its own, and never the one that was published', () => {
    const suffix = '-20261201';
    assert.deepEqual(tagsOf('v1.10.0', { released: before, suffix }), ['1.10.0-20261201', '1.10', '1', 'latest']);
  });

  it('is signed before anything that people follow points at it', () => {
    const { asked } = publish('v1.10.0', { released: before });
    assert.deepEqual(asked, [
      `docker buildx imagetools create --tag ${name}:1.10.0 ${name}@sha256:${'a'.repeat(64)} ${name}@sha256:${'b'.repeat(64)}`,
      `docker buildx imagetools inspect ${name}:1.10.0 --format {{.Manifest.Digest}}`,
      `cosign sign --yes --recursive ${name}@${digest}`,
      ...['1.10', '1', 'latest'].map((tag) => `docker buildx imagetools create --tag ${name}:${tag} ${name}@${digest}`),
    ]);
  });

  it('is not published where git does not know it, as in a checkout without tags', () => {
    for (const [tag, released] of [
      ['v1.2.4', []],
      ['v1.2', ['v1.2']],
    ] as const) {
      const { status, asked, said } = publish(tag, { released });
      assert.notEqual(status, 0);
      assert.deepEqual(asked, []);
      assert.match(said, /git has no tag v1\.2\.4 here|'v1\.2' .* is no release/);
    }
  });
});
