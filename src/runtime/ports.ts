import { randomInt } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { basename } from 'node:path';

import { systemCodeOf } from '../errors.ts';

/** A port of this machine that nothing listens on at this moment. */
export async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port: 0, host: '127.0.0.1' }, resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port from the system');
  return address.port;
}

/** Of another machine, that hardly anything uses there: below those that its kernel gives to outgoing connections. */
export const anyPort = (): number => randomInt(20_000, 32_768);

/** True when nothing on this machine listens on `port`. */
export async function isPortFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen({ port, host: '0.0.0.0', exclusive: true }, resolve);
    });
    return true;
  } catch (error) {
    if (systemCodeOf(error) === 'EADDRINUSE') return false;
    return true; // EACCES on a low port and the like: let the engine speak.
  } finally {
    server.close();
  }
}

/**
 * The process that listens on `port`, as `name (pid N)`, where /proc shows it: Linux, and other users' processes only
 * to root.
 */
export async function processListeningOn(port: number): Promise<string | undefined> {
  try {
    const inodes = await listeningInodes(port);
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
      for (const fd of fds) {
        const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '');
        const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
        if (inode !== undefined && inodes.has(inode)) {
          return `${await nameOf(pid)} (pid ${pid})`;
        }
      }
    }
  } catch {
    // No /proc, or the process has just ended: then nobody can be named.
  }
  return undefined;
}

/** Not `comm`: that is the name of its first thread, which newer programs call after what the thread does. */
async function nameOf(pid: string): Promise<string> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8');
  return basename(commandLine.split('\0')[0] ?? '');
}

async function listeningInodes(port: number): Promise<Set<string>> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const inodes = new Set<string>();
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      // Columns: number, local address, remote address, state (0A: listening), ..., the inode is the tenth.
      const columns = line.trim().split(/\s+/);
      if (columns[1]?.endsWith(`:${hexPort}`) && columns[3] === '0A' && columns[9])
        inodes.add(columns[9]);
    }
  }
  return inodes;
}
