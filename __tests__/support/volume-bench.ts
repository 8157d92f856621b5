import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { docker, removeMadeWith } from './docker-cli.ts';
import { testImage } from './images.ts';

/** Where the bench container sees the volumes of the engine. */
const volumesPath = '/volumes';

/**
 * Volumes to try things on, and a container with GNU tools that sees them all. It fills and reads them without any
 * of our own code. Needs an engine on this machine, and nothing else: no root, no tools.
 */
export class VolumeBench implements AsyncDisposable {
  /** On everything that is made here; removed by it. */
  readonly label: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Of the names of volumes. */
  readonly prefix: string;
  /** A folder of this machine that the container sees as /shared. */
  readonly shared: string;
  readonly #container: string;
  #count = 0;

  private constructor(id: string, container: string, shared: string) {
    this.label = `snapvol.test.bench=${id}`;
    this.labels = { 'snapvol.test.bench': id };
    this.prefix = container;
    this.#container = container;
    this.shared = shared;
  }

  static async start(): Promise<VolumeBench> {
    const id = `${process.pid}-${Date.now()}`;
    const container = `snapvol-bench-${id}`;
    const shared = mkdtempSync(join(tmpdir(), 'snapvol-shared-'));
    const root = await docker('info', '--format', '{{.DockerRootDir}}');
    await docker(
      ...['run', '--detach', '--init', '--name', container, '--label', `snapvol.test.bench=${id}`],
      ...['--network', 'none', '--entrypoint', 'sleep'],
      // "slave": volumes that are mounts of their own show up when they are mounted.
      ...[
        '--mount',
        `type=bind,source=${root}/volumes,target=${volumesPath},bind-propagation=rslave`,
      ],
      ...['--mount', `type=bind,source=${shared},target=/shared`],
      ...[testImage('postgres:17'), 'infinity'],
    );
    return new VolumeBench(id, container, shared);
  }

  /** A new empty volume. `options` as for `docker volume create --opt`. */
  async volume(...options: string[]): Promise<string> {
    this.#count += 1;
    const name = `${this.#container}-${this.#count}`;
    const opts = options.flatMap((option) => ['--opt', option]);
    await docker('volume', 'create', '--label', this.label, ...opts, name);
    return name;
  }

  /** Runs a bash script as root in a volume. What it prints, as bytes. */
  async run(volume: string, script: string): Promise<Buffer> {
    return this.pipe(volume, ['bash', '-eu', '-o', 'pipefail', '-s'], script);
  }

  /** As `run`, with everything else standing still meanwhile. */
  runNow(volume: string, script: string): void {
    const folder = `${volumesPath}/${volume}/_data`;
    const command = ['exec', '--workdir', folder, this.#container, 'bash', '-c', script];
    execFileSync('docker', command, { env: process.env });
  }

  /** Runs a command in a volume with `input` as its input. */
  async pipe(volume: string, command: readonly string[], input: string | Buffer): Promise<Buffer> {
    const folder = `${volumesPath}/${volume}/_data`;
    const args = [
      ...['exec', '--interactive', '--user', '0:0', '--workdir', folder, '--env', 'LC_ALL=C'],
      ...[this.#container, ...command],
    ];
    // As the test has it: it may have an engine of its own.
    const child = spawn('docker', args, { env: process.env });
    child.stdin.on('error', () => undefined); // the exit code tells
    child.stdin.end(input);
    const [output, complaints, exitCode] = await Promise.all([
      buffer(child.stdout),
      buffer(child.stderr),
      new Promise<number | null>((resolve) => child.once('close', resolve)),
    ]);
    if (exitCode !== 0) throw new Error(`exit code ${exitCode ?? '?'}: ${complaints.toString()}`);
    return output;
  }

  /** Makes a socket file in a volume: no tool of the image can. */
  async makeSocket(volume: string, name: string): Promise<void> {
    const server = createServer().listen(join(this.shared, 'socket'));
    await once(server, 'listening');
    await this.run(volume, `cp --archive /shared/socket ${name}`);
    server.close();
    await once(server, 'close');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.shared, { recursive: true, force: true });
    await removeMadeWith(this.label);
  }
}
