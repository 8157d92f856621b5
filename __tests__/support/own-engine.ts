import { spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';

import { afterAll, beforeAll } from '@jest/globals';

import { asRoot, rootCommand } from './as-root.ts';
import { docker } from './docker-cli.ts';
import { testImage } from './images.ts';
import { mountSmallDisk } from './small-disk.ts';

/** A container engine of a test's own, on a disk of its own: to be killed, and to run out of space. */
export interface OwnEngine {
  /** For DOCKER_HOST. */
  readonly host: string;
  /** A shell command that kills it, as a crash would: its containers are left to the next one. */
  killCommand(): string;
  kill(): Promise<void>;
  /** Starts it, again or for the first time, and waits until it answers. */
  start(): Promise<void>;
  /** Of the disk that images, containers and volumes are on. */
  freeBytes(): Promise<number>;
  /** Leaves so much space on that disk, until it is disposed of. */
  leaveOnly(bytes: number): Promise<Disposable>;
}

/** For all tests of a file, which it becomes the engine of, with these images of the one that tests have. Needs root. */
export function useOwnEngine(
  size: string,
  images: readonly string[],
  mountDisk: MountDisk = mountSmallDisk,
): () => OwnEngine {
  const cleanup = new AsyncDisposableStack();
  let engine: OwnEngine;
  beforeAll(async () => {
    const before = process.env['DOCKER_HOST'];
    engine = await startOwnEngine(cleanup, size, mountDisk);
    await copyImages(engine.host, images.map(testImage));
    process.env['DOCKER_HOST'] = engine.host;
    cleanup.defer(() => {
      if (before === undefined) delete process.env['DOCKER_HOST'];
      else process.env['DOCKER_HOST'] = before;
    });
  });
  afterAll(() => cleanup.disposeAsync());
  return () => engine;
}

type MountDisk = (size: string) => Disposable & { readonly path: string };

async function startOwnEngine(
  cleanup: AsyncDisposableStack,
  size: string,
  mountDisk: MountDisk,
): Promise<OwnEngine> {
  const data = cleanup.use(mountDisk(size)).path;
  const run = cleanup.use(mountSmallDisk('64m')).path;
  const bridge = addBridge(cleanup);
  const containerd = await startContainerd(cleanup, data, run);
  const host = `unix://${join(run, 'docker.sock')}`;
  const pidFile = join(run, 'docker.pid');
  const args = [
    ...['--data-root', join(data, 'docker'), '--exec-root', join(run, 'docker')],
    ...['--config-file', join(run, 'daemon.json'), '--pidfile', pidFile, '--host', host],
    ...['--bridge', bridge, '--iptables=false', '--ip6tables=false', '--ip-masq=false'],
    ...['--containerd', containerd],
  ];
  await writeFile(join(run, 'daemon.json'), '{}'); // the machine's own is for another engine
  let daemon: Daemon | undefined;
  const killCommand = (): string => {
    const [command, given] = rootCommand('kill', '-KILL', readFileSync(pidFile, 'utf8').trim());
    return [command, ...given].join(' ');
  };
  const engine: OwnEngine = {
    host,
    killCommand,
    async kill() {
      asRoot('sh', '-c', killCommand());
      await daemon?.ended;
    },
    async start() {
      await daemon?.ended;
      daemon = await startDaemon('dockerd', args, 'API listen on');
    },
    freeBytes: () => freeBytes(data),
    async leaveOnly(bytes) {
      const ballast = join(data, 'ballast');
      asRoot('fallocate', '--length', String((await freeBytes(data)) - bytes), ballast);
      return { [Symbol.dispose]: () => asRoot('rm', ballast) };
    },
  };
  await engine.start();
  cleanup.defer(async () => {
    if (daemon?.isEnded()) await engine.start(); // a test has failed
    const containers = await docker('--host', host, 'ps', '--all', '--quiet');
    for (const id of linesOf(containers)) await docker('--host', host, 'rm', '--force', id);
    asRoot('kill', readFileSync(pidFile, 'utf8').trim());
    await daemon?.ended;
    // One that was killed while it started a container has left a task that the next one knows nothing of.
    const tasks = ['ctr', '--address', containerd, '--namespace', 'moby', 'tasks'] as const;
    for (const id of linesOf(asRoot(...tasks, 'list', '--quiet')))
      asRoot(...tasks, 'delete', '--force', id);
  });
  return engine;
}

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');

/** One that the machine has would be shared, and one that dockerd starts would end with it. */
async function startContainerd(
  cleanup: AsyncDisposableStack,
  data: string,
  run: string,
): Promise<string> {
  const address = join(run, 'containerd.sock');
  const config = join(run, 'containerd.toml');
  await writeFile(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const folders = ['--root', join(data, 'containerd'), '--state', join(run, 'containerd')];
  const args = ['--config', config, '--address', address, ...folders];
  const daemon = await startDaemon('containerd', args, 'containerd successfully booted');
  cleanup.defer(async () => {
    daemon.end();
    await daemon.ended;
  });
  return address;
}

interface Daemon {
  readonly ended: Promise<unknown>;
  isEnded(): boolean;
  end(): void;
}

/** Resolves when it says that it is ready. One that ends instead has said why. */
async function startDaemon(
  program: string,
  args: readonly string[],
  readyLine: string,
): Promise<Daemon> {
  const [command, given] = rootCommand(program, ...args);
  const child = spawn(command, given, { stdio: ['ignore', 'ignore', 'pipe'] });
  const said: string[] = [];
  const ended = once(child, 'exit');
  await new Promise<void>((resolve, reject) => {
    createInterface(child.stderr).on('line', (line) => {
      said.push(line);
      if (line.includes(readyLine)) resolve();
    });
    child.once('error', reject);
    child.once('exit', () => {
      reject(new Error(`${program} has ended: ${said.slice(-5).join('\n')}`));
    });
  });
  return {
    ended,
    isEnded: () => child.exitCode !== null || child.signalCode !== null,
    end: () => child.kill(), // sudo passes it on
  };
}

/** Of its own: an engine without one would remove that of another engine. */
function addBridge(cleanup: AsyncDisposableStack): string {
  const name = `snv-${randomBytes(4).toString('hex')}`;
  asRoot('ip', 'link', 'add', name, 'type', 'bridge');
  cleanup.defer(() => {
    asRoot('ip', 'link', 'delete', name);
  });
  const address = `10.${randomInt(200, 250)}.${randomInt(256)}.1/24`;
  asRoot('ip', 'address', 'add', address, 'dev', name);
  asRoot('ip', 'link', 'set', name, 'up');
  return name;
}

async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

async function copyImages(host: string, references: readonly string[]): Promise<void> {
  const from = spawn('docker', ['save', ...references], { stdio: ['ignore', 'pipe', 'inherit'] });
  const to = spawn('docker', ['--host', host, 'load', '--quiet'], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = Promise.all([once(from, 'close'), once(to, 'close')]);
  await pipeline(from.stdout, to.stdin);
  if ((await ended).some(([code]) => code !== 0)) throw new Error('the images were not copied');
}
