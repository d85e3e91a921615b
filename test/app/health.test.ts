// Health as it is asked where no daemon runs, as by a healthcheck beside cron or systemd.

import assert from 'node:assert/strict';
import { mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Health } from '../../src/health/assess.ts';
import { openState } from '../../src/state/state-files.ts';
import { createLocalStore } from '../../src/storage/local-store.ts';
import { openApp } from '../support/app.ts';
import { runCommand } from '../support/command.ts';
import { putSnapshot } from '../support/manifests.ts';
import { quietLog } from '../support/quiet-log.ts';
import { startS3 } from '../support/s3-server.ts';
import { temporaryDirectory } from '../support/temporary-directory.ts';

describe('health without a daemon', () => {
  const place = (): Disposable & { readonly directory: string; readonly environment: Record<string, string> } => {
    const scratch = temporaryDirectory();
    const directory = path.join(scratch.path, 'backups');
    mkdirSync(directory);
    const environment = {
      BACKUP_LOCAL_DIR: directory,
      BACKUP_STATE_DIR: path.join(scratch.path, 'state'),
      LOCAL_DOMAIN: 'social.example',
    };
    return { directory, environment, [Symbol.dispose]: () => scratch[Symbol.dispose]() };
  };
  const healthOf = async (environment: Readonly<Record<string, string>>): Promise<Health> =>
    JSON.parse((await runCommand(['health', '--json'], environment)).stdout) as Health;

  it('reads what the stores hold where nothing is remembered, until one could be read', async () => {
    using here = place();
    const { directory, environment } = here;
    await putSnapshot(createLocalStore({ directory }), { dataAt: new Date() });
    renameSync(directory, `${directory}-away`);
    const away = await healthOf(environment);
    assert.equal(away.status, 'starting');
    assert.match(away.warnings.join(), /cannot be read: The directory .* does not exist/);
    renameSync(`${directory}-away`, directory);
    assert.equal((await healthOf(environment)).status, 'healthy');
    const text = await runCommand(['status'], { ...environment, BACKUP_STATE_DIR: `${directory}-new-state` });
    assert.doesNotMatch(text.stdout, /There is no backup yet/);
    renameSync(directory, `${directory}-away`);
    assert.deepEqual((await healthOf(environment)).warnings, [], 'it is asked once');
  });

  it('knows what one store holds where another one hangs, and says which', async () => {
    using here = place();
    await using s3 = await startS3();
    const { directory, environment } = here;
    await putSnapshot(createLocalStore({ directory }), { dataAt: new Date() });
    s3.rule(() => ({ kind: 'hang' }));
    const { status, warnings } = await healthOf({ ...environment, ...s3.environment });
    assert.equal(status, 'degraded');
    assert.match(warnings.join('; '), /bucket .* did not say within 8 s what it holds/);
  });

  it('says how each scheduled tier ended also where there is no snapshot', async () => {
    using here = place();
    const environment = { ...here.environment, DB_HOST: '127.0.0.1', DB_PORT: '1' };
    const nothing = { lastSuccessAt: null, deadlineAt: null };
    const before = await healthOf(environment);
    assert.deepEqual(before.tiers['weekly'], { ...nothing, lastFailure: null });
    assert.equal((await runCommand(['run'], environment)).status, 10);
    const { status, tiers } = await healthOf(environment);
    assert.equal(status, 'late');
    assert.deepEqual(Object.keys(tiers), ['daily', 'weekly', 'monthly']);
    assert.equal(tiers['daily']?.lastFailure?.step, 'database');
    assert.deepEqual(tiers['weekly'], { ...nothing, lastFailure: null });
  });

  it('shows nothing as running that was killed', async () => {
    using here = place();
    const { environment } = here;
    const directory = environment['BACKUP_STATE_DIR'] ?? '';
    const state = openState({ directory, instance: 'social.example', now: () => new Date(), log: quietLog });
    const since = new Date(Date.now() - 48 * 3_600_000).toISOString();
    await state.updateAttempts(() => ({
      running: { command: 'run daily', tier: 'daily', since },
      drilling: { snapshot: 'daily/x', since },
    }));
    await using app = openApp(environment);
    const { running, drilling, warnings } = await app.health();
    assert.deepEqual([running, drilling, warnings], [null, null, []]);
  });
});
