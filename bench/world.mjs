import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';

export const root = resolve(import.meta.dirname, '..');

/** On all that the benchmarks make. */
const label = 'snapvol.benchmark';

/**
 * What the benchmarks run in: an engine on this machine whose folders root can read, a scratch folder, and one label for
 * all volumes and containers. Disposing of it removes all that was made, but for inputs that are to be kept.
 */
export async function openWorld(signal, { warm, keep }) {
  if (process.getuid() !== 0)
    throw new Error('run this as root: the practical limit is tar on the volume’s own folder');
  const id = `snapvol-benchmark-${process.pid}`;
  const scratch = mkdtempSync(join(tmpdir(), `${id}-`));

  /** Runs a bash script with its children in a group of their own, so that all of them end with `signal`. */
  async function run(script, env = {}) {
    signal.throwIfAborted();
    const startMs = performance.now();
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: root,
      detached: true,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const end = () => process.kill(-child.pid, 'SIGTERM');
    signal.addEventListener('abort', end);
    try {
      const closed = once(child, 'close');
      const [out, said] = await Promise.all([text(child.stdout), text(child.stderr)]);
      const [exitCode] = await closed;
      signal.throwIfAborted();
      if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${script}\n${said}`);
      return { seconds: (performance.now() - startMs) / 1000, out: out.trim() };
    } finally {
      signal.removeEventListener('abort', end);
    }
  }

  /** Runs a program to its own end, also when everything else is to end. */
  async function command(program, ...args) {
    const child = spawn(program, args, {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const closed = once(child, 'close');
    const [out, said] = await Promise.all([text(child.stdout), text(child.stderr)]);
    const [exitCode] = await closed;
    if (exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${said}`);
    return out.trim();
  }

  const docker = (...args) => command('docker', ...args);
  const list = async (...args) => (await docker(...args)).split('\n').filter(Boolean);

  const mine = ['--filter', `label=${label}=${id}`];

  async function removeContainers() {
    for (const each of await list('ps', '--all', '--quiet', ...mine))
      await docker('rm', '--force', '--volumes', each);
  }

  // A container does not end with its client.
  signal.addEventListener('abort', () => removeContainers().catch(() => undefined));

  return {
    ...{ id, scratch, keep, signal, run, command, docker, removeContainers },
    /** For containers and volumes that are made by hand. */
    label: `${label}=${id}`,

    /** A new volume; the folder of it on this machine is what root sees. */
    async createVolume(name, volumeLabel = `${label}=${id}`) {
      await docker('volume', 'create', '--label', volumeLabel, name);
      return { name, folder: await docker('volume', 'inspect', '-f', '{{.Mountpoint}}', name) };
    },
    removeVolume: (name) => docker('volume', 'rm', name),
    volumes: (prefix) => list('volume', 'ls', '--quiet', '--filter', `name=^${prefix}`),

    /** Before each measured run: nothing is left to write, and unless `warm`, nothing is in memory. */
    async settle() {
      await run('sync');
      if (!warm) writeFileSync('/proc/sys/vm/drop_caches', '3');
    },

    async [Symbol.asyncDispose]() {
      await removeContainers();
      for (const each of await list('volume', 'ls', '--quiet', ...mine))
        await docker('volume', 'rm', each);
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

/** The reference of a test image. */
export function testImage(name) {
  const table = JSON.parse(readFileSync(join(root, '.work/test-images.json'), 'utf8'));
  if (!table[name]) throw new Error(`no image ${name}: run script/test-images ${name}`);
  return table[name].reference;
}
