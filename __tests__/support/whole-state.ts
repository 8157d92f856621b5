import { readdir } from 'node:fs/promises';

import { runCli } from './cli.ts';
import { docker } from './docker-cli.ts';
import { testImage } from './images.ts';
import { filesIn } from './runner.ts';

/** All that somebody could miss afterwards, or find left over. */
export interface WholeState {
  /** Name, state and image of each. */
  readonly containers: readonly string[];
  readonly volumes: readonly string[];
  readonly images: readonly string[];
  /** What the database of somebody else holds. */
  readonly bystander: string;
  /** In the folders for temporary files. */
  readonly files: readonly string[];
  /** By their keys. */
  readonly snapshots: readonly string[];
}

export interface Places {
  readonly tempDirs?: readonly string[];
  /** Folder of a file store; every snapshot in it must be whole. */
  readonly store?: string;
}

const bystander = 'bystander';

/** A database of somebody else, on a volume of its own. It comes back with the engine, and keeps what it was given. */
export async function startBystander(): Promise<void> {
  await docker(
    ...['run', '--detach', '--name', bystander, '--restart', 'always'],
    ...['--volume', `${bystander}-data:/data`, testImage('redis:7'), 'redis-server'],
    ...['--appendonly', 'yes', '--appendfsync', 'always'],
  );
  await redis(bystander, 'set', 'whose', 'somebody else');
}

/** What it says, once it serves. */
export function redis(container: string, ...command: readonly string[]): Promise<string> {
  const script = 'until redis-cli ping; do sleep 0.1; done >/dev/null 2>&1; exec redis-cli "$@"';
  return docker('exec', container, 'sh', '-c', script, 'sh', ...command);
}

/** Of an engine of the test's own: nobody else is at it. */
export async function wholeState({ tempDirs = [], store }: Places = {}): Promise<WholeState> {
  const [containers, volumes, images, held] = await Promise.all([
    docker('ps', '--all', '--no-trunc', '--format', '{{.Names}} {{.State}} {{.Image}}'),
    docker('volume', 'ls', '--quiet'),
    docker('images', '--all', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}'),
    redis(bystander, 'get', 'whose'),
  ]);
  return {
    containers: linesOf(containers),
    volumes: linesOf(volumes),
    images: linesOf(images),
    bystander: held,
    files: (await Promise.all(tempDirs.map(filesIn))).flat(),
    snapshots: store === undefined ? [] : await wholeSnapshots(store),
  };
}

async function wholeSnapshots(store: string): Promise<string[]> {
  const names = (await readdir(store)).sort();
  if (names.length === 0) return [];
  const { exitCode, stdout } = await runCli(['verify', '--store', `file:${store}`]);
  if (exitCode !== 0) throw new Error(`not whole: ${stdout}`);
  return names;
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}
