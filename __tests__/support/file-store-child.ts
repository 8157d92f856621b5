// A process of its own that uses a store in a folder, run by file-store-process.ts with its task as JSON. It can wait
// or kill itself at any request to the file system, and see a disk or a user of its own.
import { execFileSync } from 'node:child_process';
import { createHook } from 'node:async_hooks';
import { readdirSync, readSync, writeSync } from 'node:fs';

import { toAppError } from '../../src/errors.ts';
import { createFileStore } from '../../src/stores/file.ts';
import type { ChildReport, ChildTask } from './file-store-process.ts';

// The one who starts this writes the task.
const task = JSON.parse(process.argv[2] ?? '') as ChildTask;
const { signal } = new AbortController();
let requests = 0;

function say(line: unknown): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

/** Stands still, the whole process, until the parent says something or is gone. */
function waitForGo(): void {
  readSync(0, Buffer.alloc(1));
}

/** Called for every request to the file system, before it is made. */
function onRequest(): void {
  requests += 1;
  if (requests !== task.interruptAt) return;
  say('interrupted');
  if (task.interruptBy === 'pause') waitForGo();
  else process.kill(process.pid, 'SIGKILL');
}

async function run(): Promise<unknown> {
  const store = createFileStore(task.dir);
  switch (task.verb) {
    case 'save':
      return store.save(task.key, task.bundleDir, signal);
    case 'replace':
      return store.replace(task.key, task.bundleDir, signal);
    case 'load':
      return store.load({ key: task.key, exact: true }, task.bundleDir, signal);
    case 'remove':
      return store.remove(task.key, signal);
  }
}

if (task.tmpfs !== undefined) {
  execFileSync('mount', ['-t', 'tmpfs', '-o', task.tmpfs, 'tmpfs', task.dir]);
}
if (task.uid !== undefined) {
  process.setgroups?.([]);
  process.setgid?.(task.uid);
  process.setuid?.(task.uid);
}
if (task.waitForGo) {
  say('ready');
  waitForGo();
}

const hook = createHook({
  init: (_id, type) => {
    if (/^(FSREQ|FILEHANDLE)/.test(type)) onRequest();
  },
}).enable();
let report: Partial<ChildReport>;
try {
  report = { outcome: await run() };
} catch (error) {
  const { code, message, hint = '' } = toAppError(error);
  report = { error: { code, message, hint } };
}
hook.disable();
say({ ...report, requests, names: readable(task.dir) });

function readable(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
