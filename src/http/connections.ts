// How many connections are held. Node turns newcomers away when there are too many: some hundred clients that hang would keep
// the monitor out that asks whether there are backups. Here those make room that have had their answer, or never asked.

import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Where it begins that others must go; more at once are none of a monitor's or a person's. */
const usual = 256;
/** Also of those that wait for an answer of ours there are no more. */
const most = 1_024;

/** Holds the connections of `server` to a number; call it before the server listens. */
export function holdConnections(server: Server): void {
  /** The one that nothing was done for in the longest time comes first. */
  const idle = new Set<Socket>();
  const all = new Set<Socket>();
  server.maxConnections = most;
  server.on('connection', (socket: Socket) => {
    all.add(socket);
    idle.add(socket);
    socket.once('close', () => {
      all.delete(socket);
      idle.delete(socket);
    });
    for (const other of idle) {
      if (all.size <= usual) break;
      if (other === socket) continue;
      all.delete(other);
      idle.delete(other);
      other.destroy();
    }
  });
  server.on('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    idle.delete(socket);
    // What is written is its own to take: whether it does is not waited for.
    response.once('prefinish', () => all.has(socket) && idle.add(socket));
  });
}
