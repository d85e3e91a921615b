// Fingerprints of the secrets that a restored instance needs. They stand in the manifest, which is not encrypted, and tell
// whether a secret is still the one the dump was made with, without telling the secret. Without them a lost key would be
// noticed when somebody cannot log in any more.

import { createHmac } from 'node:crypto';
import type { Environment } from '../config/environment.ts';

/** What is lost when a secret is not the one that belongs to the database. */
const consequences = {
  SECRET_KEY_BASE: 'everybody is logged out, and links in mails that were sent stop working',
  OTP_SECRET: 'two-factor logins stop working',
  VAPID_PRIVATE_KEY: 'push notifications stop until everybody subscribes again',
  VAPID_PUBLIC_KEY: 'push notifications stop until everybody subscribes again',
  ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY:
    'what the database holds encrypted, two-factor secrets above all, cannot be read',
  ACTIVE_RECORD_ENCRYPTION_DETERMINISTIC_KEY:
    'what the database holds encrypted, two-factor secrets above all, cannot be read',
  ACTIVE_RECORD_ENCRYPTION_KEY_DERIVATION_SALT:
    'what the database holds encrypted, two-factor secrets above all, cannot be read',
  LOCAL_DOMAIN: 'to other servers it is another instance, and its accounts are not its own any more',
  WEB_DOMAIN: 'links to its posts and accounts lead elsewhere',
} as const;

/** A secret of Mastodon's, or a name it is known under, that must be the one its database was made with. */
export type InstanceSecret = keyof typeof consequences;

/** The secrets and names that have a fingerprint. */
export const instanceSecrets = Object.keys(consequences) as readonly InstanceSecret[];

/** What the environment of every Mastodon since 4.3 has. */
export const requiredSecrets: readonly InstanceSecret[] = instanceSecrets.filter((name) => name !== 'WEB_DOMAIN');

/** A manifest, as far as its fingerprints are concerned. */
export interface Fingerprinted {
  readonly id: string;
  readonly secrets: { readonly fingerprints: Readonly<Record<string, string>> } | null;
}

/** How an environment differs from what a snapshot was made with. All empty: it has the same secrets. */
export interface FingerprintComparison {
  readonly changed: readonly InstanceSecret[];
  /** Set then, not set here. */
  readonly missing: readonly InstanceSecret[];
  /** Not set then, set here. */
  readonly added: readonly InstanceSecret[];
}

/**
 * The fingerprints of the secrets that are set: HMAC-SHA-256 keyed with the snapshot's id over `name NUL value`, of which 64
 * bits are kept, in hexadecimal. The id makes those of two snapshots incomparable, except for who knows the secret.
 */
export function fingerprintSecrets(
  environment: Pick<Environment, 'get'>,
  { snapshotId }: { readonly snapshotId: string },
): Readonly<Partial<Record<InstanceSecret, string>>> {
  const found = instanceSecrets.flatMap((name) => {
    const value = environment.get(name)?.text;
    return value === undefined ? [] : [[name, fingerprint({ name, value, snapshotId })] as const];
  });
  return Object.fromEntries(found);
}

/** Compares an environment with a snapshot; null when the snapshot has no fingerprints. */
export function compareFingerprints(
  manifest: Fingerprinted,
  environment: Pick<Environment, 'get'>,
): FingerprintComparison | null {
  if (manifest.secrets === null) return null;
  const then = manifest.secrets.fingerprints;
  const now: Readonly<Record<string, string | undefined>> = fingerprintSecrets(environment, {
    snapshotId: manifest.id,
  });
  return {
    changed: instanceSecrets.filter(
      (name) => then[name] !== undefined && now[name] !== undefined && then[name] !== now[name],
    ),
    missing: instanceSecrets.filter((name) => then[name] !== undefined && now[name] === undefined),
    added: instanceSecrets.filter((name) => then[name] === undefined && now[name] !== undefined),
  };
}

/**
 * What to tell about an environment that differs from the one `snapshot` was made in: a text for what changed and one for
 * what is not set any more, each with its consequences and what to do; none when there is nothing to tell.
 */
export function describeDifference(
  comparison: Pick<FingerprintComparison, 'changed' | 'missing'>,
  { snapshot }: { readonly snapshot: string },
): readonly string[] {
  const { changed, missing } = comparison;
  return [
    ...(changed.length === 0
      ? []
      : [
          `Mastodon's ${changed.join(', ')} changed since the backup ${snapshot}: ${describeConsequences(changed)}. ` +
            'If that was not meant, put the old values back; they are in the secrets object of that backup',
        ]),
    ...(missing.length === 0
      ? []
      : [
          `Mastodon's ${missing.join(', ')} came with the backup ${snapshot} and ${missing.length === 1 ? 'is' : 'are'} ` +
            `not set here any more: ${describeConsequences(missing)}. Check env_file of this service`,
        ]),
  ];
}

/** What it means for a restored instance that these secrets are not the ones of its database. */
export function describeConsequences(names: readonly InstanceSecret[]): string {
  const groups = [...Map.groupBy(names, (name) => consequences[name])];
  return groups.map(([consequence, group]) => `without the right ${group.join(', ')} ${consequence}`).join('; ');
}

function fingerprint(of: { readonly name: string; readonly value: string; readonly snapshotId: string }): string {
  return createHmac('sha256', of.snapshotId).update(`${of.name}\0${of.value}`).digest('hex').slice(0, 16);
}
