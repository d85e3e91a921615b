// Whose a restored database is to be: the role that Mastodon uses. Restored by a superuser and left to it, a whole database
// answers Mastodon with "permission denied", and nobody saw it coming.

import { escapeIdentifier, escapeLiteral, type Client } from 'pg';
import type { ArchiveItem } from '../database/archive-contents.ts';
import { scramVerifier } from '../database/scram-verifier.ts';
import { AppError, describeError } from '../errors.ts';
import type { ExistingDatabase, TargetServer } from './target.ts';

/** Who is to own it, as far as somebody said so. */
export interface OwnerWishes {
  /** From the command line; null: nobody named one. */
  readonly named: string | null;
  /** Mastodon's own user where the restore connects as another; null: it does not, or nobody knows. */
  readonly mastodon: string | null;
}

/** The owner: named, the replaced database's, Mastodon's own user, or for a superuser whom the tables of the archive belonged to. */
export function chooseOwner(
  wishes: OwnerWishes,
  facts: {
    readonly server: Pick<TargetServer, 'role' | 'isSuperuser'>;
    readonly replaced: (Pick<ExistingDatabase, 'owner' | 'ownerIsSuperuser'> & { readonly kind: string }) | null;
    readonly contents: readonly ArchiveItem[];
  },
): string {
  const { server, replaced, contents } = facts;
  if (wishes.named !== null) return wishes.named;
  // What takes the place of a database belongs to whom that belonged: to another Mastodon has no right. A superuser's is
  // often one that somebody else restored wrongly.
  if (replaced?.kind === 'in-use' && !replaced.ownerIsSuperuser) return replaced.owner;
  if (wishes.mastodon !== null) return wishes.mastodon;
  if (!server.isSuperuser) return server.role;
  return mostFrequent(contents.filter(({ kind }) => kind === 'TABLE').map(({ owner }) => owner)) ?? server.role;
}

/** How the owner stands on the target server. */
export interface OwnerFacts {
  readonly exists: boolean;
  /** Whether our role may make something belong to it. */
  readonly isOurs: boolean;
}

/** Asks for the role. */
export async function readOwner(admin: Client, owner: string): Promise<OwnerFacts> {
  const { rows } = await admin.query<{ ours: boolean }>(
    "select pg_has_role(current_user, oid, 'member') as ours from pg_roles where rolname = $1",
    [owner],
  );
  return { exists: rows.length > 0, isOurs: rows[0]?.ours ?? false };
}

/** @throws AppError `restore` when the owner is not there and is not to be created, or cannot be given anything by our role. */
export function assertOwner(
  owner: string,
  {
    facts,
    server,
    createRole,
  }: {
    readonly facts: OwnerFacts;
    readonly server: Pick<TargetServer, 'role' | 'isSuperuser' | 'mayCreateRoles'>;
    readonly createRole: boolean;
  },
): void {
  const [quoted, role] = [escapeIdentifier(owner), escapeIdentifier(server.role)];
  if (!facts.exists && !createRole) {
    throw new AppError(
      'restore',
      `The role '${owner}', to whom the database is to belong, is not on the target server`,
      {
        hint: `Restore with --create-role, which makes it with the password of DB_PASS, or with --owner and a role that is there.`,
      },
    );
  }
  if (!facts.exists && !server.mayCreateRoles) {
    throw new AppError('restore', `The role '${server.role}' may not create the role '${owner}'`, {
      hint: `Create it as a superuser: CREATE ROLE ${quoted} LOGIN CREATEDB; then \\password ${quoted} in psql.`,
    });
  }
  if (facts.exists && !facts.isOurs && !server.isSuperuser) {
    throw new AppError(
      'restore',
      `'${server.role}' may make nothing belong to '${owner}', the role that Mastodon uses`,
      {
        hint: `Let it, as a superuser: GRANT ${quoted} TO ${role}; or restore as a superuser (BACKUP_DATABASE_URL).`,
      },
    );
  }
}

/** Creates the role as Mastodon's guide does, with SCRAM. Rejects with AppError `restore`. */
export async function createOwner(
  admin: Client,
  { owner, password, server }: { readonly owner: string; readonly password: string; readonly server: TargetServer },
): Promise<void> {
  const secret = password === '' ? '' : `password ${escapeLiteral(scramVerifier(password))}`;
  try {
    await admin.query(`create role ${escapeIdentifier(owner)} login createdb ${secret}`);
    // Since 16 whoever creates a role is not its member by that alone.
    if (!server.isSuperuser)
      await admin.query(`grant ${escapeIdentifier(owner)} to ${escapeIdentifier(server.role)}`).catch(() => undefined);
  } catch (error) {
    throw new AppError('restore', `The role '${owner}' could not be created: ${describeError(error)}`, {
      cause: error,
      hint: `Create it as a superuser: CREATE ROLE ${escapeIdentifier(owner)} LOGIN CREATEDB.`,
    });
  }
}

function mostFrequent(names: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const name of names) if (name !== '') counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0];
}
