// The way past `pg_hba.conf`: a connection with `replication=database` is matched by the ordinary line of the stock image
// (`host all all all`), where `replication=true`, as PostgreSQL's own clients say it, needs a line that nobody has. It takes
// the commands of the replication protocol, and copies of bytes come out of it as they are.

import type { Client } from 'pg';
import { connect, describeTarget, type ConnectionSettings } from '../database/connection.ts';
import { toAppError } from '../errors.ts';

/** A connection that speaks the replication protocol. */
export type ReplicationClient = Client & AsyncDisposable;

/** The server as IDENTIFY_SYSTEM says it. */
export interface SystemIdentity {
  readonly systemIdentifier: string;
  readonly timeline: number;
  /** How far the server has flushed its log, as it writes it. */
  readonly flushedTo: string;
}

/** The half of the driver's connection that it does not declare. */
export interface WireConnection {
  readonly stream: { pause(): unknown; resume(): unknown };
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
  on(event: string, listener: (message: unknown) => void): void;
  off(event: string, listener: (message: unknown) => void): void;
}

/** What the driver asks of something that is not one of its own queries. */
export interface Conversation {
  submit(connection: WireConnection): void;
  handleRowDescription?(): void;
  handleDataRow?(message: { readonly fields: readonly (string | null)[] }): void;
  handleReadyForQuery(): void;
  handleError(error: Error): void;
  handleCopyData(message: { readonly chunk: Buffer }): void;
}

/** Opens one. @throws AppError `database`. */
export async function connectForReplication(
  settings: ConnectionSettings,
  signal: AbortSignal,
): Promise<ReplicationClient> {
  return connect(settings, signal, { queryTimeoutMs: 0, protocol: 'replication' });
}

// The driver calls all of them, whoever listens.
const unheard = {
  handleRowDescription: () => undefined,
  handleDataRow: () => undefined,
  handleCommandComplete: () => undefined,
  handlePortalSuspended: () => undefined,
  handleEmptyQuery: () => undefined,
};

/** Begins a conversation of its own on the connection. */
export function converse(client: Client, conversation: Conversation): void {
  const begin = client.query.bind(client) as unknown as (conversation: object) => void;
  begin({ ...unheard, ...conversation });
}

/** Who answers. @throws AppError `database`, with the remedy for a role that may not replicate. */
export async function identifySystem(client: Client, settings: ConnectionSettings): Promise<SystemIdentity> {
  try {
    const { rows } = await client.query<{ systemid: string; timeline: number | string; xlogpos: string }>(
      'IDENTIFY_SYSTEM',
    );
    const [row] = rows;
    if (row === undefined) throw new Error('the server says nothing about itself');
    // A number up to version 17, a text since.
    return { systemIdentifier: row.systemid, timeline: Number(row.timeline), flushedTo: row.xlogpos };
  } catch (error) {
    throw toAppError(error, {
      code: 'database',
      message: `${describeTarget(settings)} refuses replication`,
      hint: 'Connect as a superuser, as the stock compose file does, or give this role the attribute: ALTER ROLE … REPLICATION.',
    });
  }
}
