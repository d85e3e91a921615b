// The manifests of docs/kubernetes are what the API takes, to the last field (an unknown one is dropped in silence by a cluster
// that does not ask for strictness), what they name is there, and their settings are ours.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { CronJob, type ICronJob } from 'kubernetes-models/batch/v1';
import { Deployment, type IDeployment } from 'kubernetes-models/apps/v1';
import { NetworkPolicy, type INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import {
  ConfigMap,
  PersistentVolumeClaim,
  Secret,
  type IConfigMap,
  type IContainer,
  type IPersistentVolumeClaim,
  type IPodTemplateSpec,
  type ISecret,
} from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { createSigningKey } from '../src/config/ssh-keys.ts';
import { runCommand } from './support/command.ts';
import { checkout, pages } from './support/documentation.ts';
import { temporaryDirectory } from './support/temporary-directory.ts';

const folder = path.join(checkout, 'docs/kubernetes');

/** What may stand in a manifest: the validator of the API's schema, and where its types are. */
const models = {
  ConfigMap: [ConfigMap, 'v1'],
  CronJob: [CronJob, 'batch/v1'],
  Deployment: [Deployment, 'apps/v1'],
  NetworkPolicy: [NetworkPolicy, 'networking.k8s.io/v1'],
  PersistentVolumeClaim: [PersistentVolumeClaim, 'v1'],
  Secret: [Secret, 'v1'],
} as const;

interface Manifest {
  readonly file: string;
  readonly kind: keyof typeof models;
  readonly name: string;
  readonly content: { readonly apiVersion: string; readonly kind: string };
}

const manifests: readonly Manifest[] = readdirSync(folder).flatMap((file) =>
  // Kubernetes reads YAML 1.1, where 0440 is octal and `on` is true.
  parseAllDocuments(readFileSync(path.join(folder, file), 'utf8'), { version: '1.1' }).map((document) => {
    assert.deepEqual([document.errors, document.warnings], [[], []], file);
    const content = document.toJS() as Manifest['content'] & { kind: Manifest['kind']; metadata: { name: string } };
    return { file, kind: content.kind, name: content.metadata.name, content };
  }),
);

/** What each kind holds, once the schema has said so. */
interface Contents {
  readonly ConfigMap: IConfigMap;
  readonly CronJob: ICronJob;
  readonly Deployment: IDeployment;
  readonly NetworkPolicy: INetworkPolicy;
  readonly PersistentVolumeClaim: IPersistentVolumeClaim;
  readonly Secret: ISecret;
}

function all<Kind extends keyof Contents>(kind: Kind): readonly Contents[Kind][] {
  return manifests.filter((one) => one.kind === kind).map(({ content }) => content as Contents[Kind]);
}

function single<Content>(contents: readonly Content[]): Content {
  assert.equal(contents.length, 1);
  return contents[0] as Content;
}

interface Pod {
  readonly of: string;
  readonly template: IPodTemplateSpec;
  readonly container: IContainer;
}

const pods: readonly Pod[] = [
  ...all('Deployment').map(({ metadata, spec }) => ({ metadata, template: spec?.template })),
  ...all('CronJob').map(({ metadata, spec }) => ({ metadata, template: spec?.jobTemplate.spec?.template })),
].map(({ metadata, template }) => {
  assert.ok(template?.spec !== undefined);
  return { of: metadata?.name ?? '', template, container: single(template.spec.containers) };
});

const settings = single(all('ConfigMap'));
const secret = single(all('Secret'));

describe('the manifests of docs/kubernetes', () => {
  it('are valid by the schema of the API', () => {
    assert.deepEqual(manifests.map(({ kind }) => kind).toSorted(), [
      'ConfigMap',
      'CronJob',
      'CronJob',
      'Deployment',
      'NetworkPolicy',
      'PersistentVolumeClaim',
      'PersistentVolumeClaim',
      'Secret',
    ]);
    for (const { file, kind, name, content } of manifests) {
      const [Model, api] = models[kind];
      assert.equal(content.apiVersion, api, `${file}: ${name}`);
      assert.doesNotThrow(() => new Model(content as never).validate(), `${file}: ${name}`);
    }
  });

  it('have no field that the API does not know', () => {
    // Beside the packages, where their types are found.
    const own = path.join(checkout, `node_modules/.cache/kubernetes-${process.pid}`);
    mkdirSync(own, { recursive: true });
    try {
      const lines = manifests.map(
        ({ kind, content }, place) =>
          `import type { I${kind} as I${place} } from 'kubernetes-models/${models[kind][1]}';
export const manifest${place}: I${place} = ${JSON.stringify(content)};\n`,
      );
      writeFileSync(path.join(own, 'manifests.ts'), lines.join(''));
      const options = '--noEmit --ignoreConfig --strict --skipLibCheck --module nodenext --target es2024'.split(' ');
      execFileSync(path.join(checkout, 'node_modules/.bin/tsc'), [...options, path.join(own, 'manifests.ts')], {
        encoding: 'utf8',
      });
    } finally {
      rmSync(own, { recursive: true });
    }
  });

  it('run one daemon, which ends before its successor begins', () => {
    const { spec } = single(all('Deployment'));
    assert.equal(spec?.replicas, 1);
    assert.equal(spec.strategy?.type, 'Recreate');
    for (const job of all('CronJob')) assert.equal(job.spec?.concurrencyPolicy, 'Forbid');
  });

  for (const { of, template, container } of pods) {
    describe(of, () => {
      it('runs without root, capabilities, a writable root and the right to ask the API', () => {
        const { spec } = template;
        assert.equal(spec?.automountServiceAccountToken, false);
        assert.equal(spec.enableServiceLinks, false, 'a Service may be called backup');
        assert.equal(spec.securityContext?.runAsNonRoot, true);
        assert.equal(spec.securityContext.runAsUser, 10_001);
        assert.equal(spec.securityContext.seccompProfile?.type, 'RuntimeDefault');
        assert.deepEqual(container.securityContext, {
          readOnlyRootFilesystem: true,
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'] },
        });
      });

      it('mounts what there is, and what a group of its own may read', () => {
        const { volumes = [], securityContext } = template.spec ?? {};
        assert.deepEqual(
          container.volumeMounts?.map(({ name }) => name).toSorted(),
          volumes.map(({ name }) => name).toSorted(),
        );
        const claims = all('PersistentVolumeClaim').map(({ metadata }) => metadata?.name ?? '');
        const claimed = volumes.flatMap(({ persistentVolumeClaim }) => persistentVolumeClaim?.claimName ?? []);
        assert.deepEqual(claimed.toSorted(), claims.toSorted());
        const secrets = volumes.find((volume) => volume.secret !== undefined)?.secret;
        assert.equal(secrets?.secretName, secret.metadata?.name);
        assert.equal(secrets?.defaultMode, 0o440);
        assert.equal(securityContext?.fsGroup, 10_001);
      });

      it('is selected by the network policy, and has none of the labels by which the chart selects its own', () => {
        const labels = template.metadata?.labels ?? {};
        const { spec } = single(all('NetworkPolicy'));
        for (const [label, value] of Object.entries(spec?.podSelector?.matchLabels ?? { none: 'none' }))
          assert.equal(labels[label], value);
        assert.deepEqual(spec?.policyTypes, ['Ingress', 'Egress']);
        assert.notEqual(labels['app.kubernetes.io/name'], 'mastodon');
        assert.equal(labels['app.kubernetes.io/instance'], undefined);
      });
    });
  }
});

describe('the settings', () => {
  /** What a pod says by itself. */
  const given = ({ container }: Pod): readonly (readonly [string, string])[] =>
    (container.env ?? []).flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));

  it('are such as the program takes, and the same for the daemon and the jobs', async () => {
    using secrets = temporaryDirectory();
    for (const [key, placeholder] of Object.entries(secret.stringData ?? {})) {
      const value = key === 'signing_key' ? createSigningKey('test').file : placeholder;
      writeFileSync(path.join(secrets.path, key), value);
    }
    const [daemon, ...jobs] = pods;
    assert.ok(daemon !== undefined && jobs.length === 2);
    for (const job of jobs) {
      const ofDaemon: ReturnType<typeof given> = given(daemon).filter(([name]) => name !== 'BACKUP_HTTP_PORT');
      assert.deepEqual([given(job), job.container.envFrom], [ofDaemon, daemon.container.envFrom]);
    }
    const mount = daemon.container.volumeMounts?.find(({ name }) => name === 'secrets')?.mountPath ?? '?';
    const { status, stdout, stderr } = await runCommand(['config', '--json'], {
      // What the chart writes.
      LOCAL_DOMAIN: 'social.example',
      DB_HOST: 'mastodon-postgresql',
      ...settings.data,
      ...Object.fromEntries(given(daemon).map(([name, value]) => [name, value.replace(mount, secrets.path)])),
    });
    assert.equal(status, 0, stderr);
    assert.doesNotMatch(`${stdout}${stderr}`, /unknown|not known/i);
  });

  it('go with commands that there are', async () => {
    const { stdout } = await runCommand(['--help'], {});
    const commands = pods.map(({ container }) => container.args?.[0] ?? 'daemon');
    assert.deepEqual(commands, ['daemon', 'run', 'drill']);
    for (const command of commands) assert.match(stdout, new RegExp(`^  ${command} `, 'm'));
  });
});

describe('the probes', () => {
  it('ask the port that is served, and only readiness asks for health', () => {
    const { container } = single(pods.filter(({ container: one }) => one.readinessProbe !== undefined));
    const port = container.ports?.find(({ name }) => name === 'http')?.containerPort;
    assert.equal(container.env?.find(({ name }) => name === 'BACKUP_HTTP_PORT')?.value, String(port));
    assert.deepEqual(
      [container.readinessProbe?.httpGet, container.livenessProbe?.httpGet],
      [
        { path: '/healthz', port: 'http' },
        { path: '/status.json', port: 'http' },
      ],
    );
  });
});

describe('docs/kubernetes.md', () => {
  it('names every file of manifests, and no other', () => {
    const text = pages.find(({ file }) => file === 'docs/kubernetes.md')?.text ?? '';
    const named = [...text.matchAll(/\]\(kubernetes\/([\w.-]+)\)/g)].map(([, file]) => file ?? '');
    assert.deepEqual([...new Set(named)].toSorted(), readdirSync(folder).toSorted());
  });
});
