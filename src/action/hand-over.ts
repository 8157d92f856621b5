import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';

import type { Surroundings } from '../compose.ts';
import { AppError, toAppError } from '../errors.ts';
import { parseJson } from '../json.ts';
import { identityOf } from '../process-identity.ts';
import type { StoreLocation } from '../stores/location.ts';

/** What the process that uploads is told, on its standard input: tokens and the passphrase are in no file and no argument. */
export interface UploadOrder {
  readonly key: string;
  readonly store: StoreLocation;
  readonly passphrase: string | undefined;
  /** Of GitHub's services. */
  readonly env: Readonly<Record<string, string>>;
}

/** A process that uploads, for post to wait for. */
export interface PendingUpload {
  readonly key: string;
  /** Its folder, for post to remove; see {@link uploadFiles}. */
  readonly dir: string;
  /** For `stateOf`. It leads a group of its own. */
  readonly process: string;
  readonly timeoutMs: number;
  /** Whether anybody can read what it saves. */
  readonly readableByAll: boolean;
}

/** What is in the folder. `outcome`: when it is done, whole from the beginning on. */
export const uploadFiles = { bundle: 'bundle', log: 'log', outcome: 'outcome.json' } as const;

/**
 * Starts a process that saves the bundle, and goes on when this one has ended. The bundle is moved into a folder of its
 * own in `tempDir`; the runner empties that after every job, should post not get there.
 * @param onStarted before the process does anything
 * @throws any error: then the bundle is where it was
 */
export async function handOver(
  bundleDir: string,
  order: UploadOrder,
  { tempDir, env }: Pick<Surroundings, 'tempDir' | 'env'>,
  onStarted: (upload: Pick<PendingUpload, 'dir' | 'process'>) => void,
): Promise<void> {
  const dir = await mkdtemp(join(tempDir, 'snapvol-upload-'));
  const movedDir = join(dir, uploadFiles.bundle);
  let child: ChildProcess | undefined;
  try {
    child = await startUpload(dir, env);
    if (child.pid === undefined) throw new AppError('internal', 'the process has no id');
    await rename(bundleDir, movedDir);
    onStarted({ dir, process: identityOf(child.pid) });
  } catch (error) {
    child?.stdin?.destroy(); // without an order it ends
    await rename(movedDir, bundleDir).catch(() => undefined); // it may not have been moved
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
  const { stdin } = child;
  await new Promise<void>((resolve) => {
    stdin?.on('error', () => undefined); // it has ended: post tells
    stdin?.end(JSON.stringify(order), resolve);
  });
  child.unref();
}

async function startUpload(dir: string, env: Surroundings['env']): Promise<ChildProcess> {
  await using log = await open(join(dir, uploadFiles.log), 'w', 0o600);
  // The stub beside the one that runs now. Of its own streams none is ours: the runner waits for the end of those.
  const stub = join(dirname(process.argv[1] ?? ''), 'upload.js');
  const child = spawn(process.execPath, [stub], {
    ...{ cwd: dir, env, detached: true, stdio: ['pipe', log.fd, log.fd] },
  });
  await once(child, 'spawn');
  return child;
}

/** In the process that uploads. `undefined`: who started it has given it up. */
export async function readOrder(): Promise<UploadOrder | undefined> {
  const given = await text(process.stdin);
  if (given === '') return undefined;
  // A cast: it comes from `handOver`.
  return parseJson(given, toAppError) as UploadOrder;
}
