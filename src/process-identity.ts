import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';

import { systemCodeOf } from './errors.ts';

// So that what a process leaves behind tells others whether that process still lives.

/** `dead`: it will not come back. `elsewhere`: its id says nothing here. */
export type ProcessState = 'alive' | 'dead' | 'elsewhere';

/**
 * Where process ids mean the same as here. A host's name is not enough: containers on the network of their host share
 * it but not the processes, and after a restart every id can be another process. Linux has a name for both.
 */
export function place(): string {
  const host = hostname().replaceAll(/[^A-Za-z0-9.]/g, '_');
  return `${host.slice(0, 64)}-${processSpace()}`;
}

function processSpace(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const namespace = readlinkSync('/proc/self/ns/pid');
    return createHash('sha256').update(`${boot}${namespace}`).digest('hex').slice(0, 8);
  } catch {
    return 'any';
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it lives, and belongs to somebody else.
    return systemCodeOf(error) !== 'ESRCH';
  }
}

/** This process, for {@link stateOf}. */
export function thisProcess(): string {
  return identityOf(process.pid);
}

/** A process that lives here, for {@link stateOf}. */
export function identityOf(pid: number): string {
  return `${place()} ${pid} ${startOf(pid)}`;
}

/** Ends at once the group that a process leads, or has led: while one of a group lives, its id is nobody else's. */
export function killGroup(identity: string): void {
  const [where, pid] = identity.split(' ');
  if (where !== place()) return;
  if (isAlive(Number(pid)) && stateOf(identity) !== 'alive') return; // it is another's by now
  try {
    process.kill(-Number(pid), 'SIGKILL');
  } catch (error) {
    if (systemCodeOf(error) !== 'ESRCH') throw error;
  }
}

export function stateOf(identity: string): ProcessState {
  const [where, pid, start] = identity.split(' ');
  if (where !== place()) return 'elsewhere';
  // Ids are used again; the time of its start tells another process.
  return isAlive(Number(pid)) && startOf(Number(pid)) === start ? 'alive' : 'dead';
}

/** In the kernel's ticks since the machine started; `0` where nothing tells. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, a name in parentheses, may hold anything. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // A zombie has ended, but for its parent's asking.
    return fields[0] === 'Z' ? '0' : (fields[19] ?? '0');
  } catch {
    return '0';
  }
}
