import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { docker } from './docker-cli.ts';

/** Debian's docker-registry on loopback. Engines on this machine take it without TLS. */
export interface Registry extends AsyncDisposable {
  readonly host: string;
  /**
   * Puts an image of the engine into it, and gives its name there; the engine does not keep it under that name.
   * @param configDir with a login, as the docker client wants it
   */
  push(image: string, name: string, configDir?: string): Promise<string>;
  /** From now on it answers when it has happened, and not before. */
  holdUntil(moment: Promise<unknown>): void;
}

/** Whom a registry lets in that wants a login. */
export const reader = { username: 'reader', password: 'open:sesame' };
const htpasswd = 'reader:$2y$04$BUPMI4ScLo8GIlrfb/Eywe0rBjAzvg6QLys0SnQMklCCBkc7fvkRa\n';

export async function startRegistry({ login = false } = {}): Promise<Registry> {
  const dir = mkdtempSync(join(tmpdir(), 'snapvol-registry-'));
  const path = join(dir, 'htpasswd');
  writeFileSync(path, htpasswd);
  // https://distribution.github.io/distribution/about/configuration/ (JSON is YAML)
  const config = {
    version: '0.1',
    storage: { filesystem: { rootdirectory: join(dir, 'data') } },
    http: { addr: '127.0.0.1:0' },
    ...(login && { auth: { htpasswd: { realm: 'snapvol', path } } }),
  };
  writeFileSync(join(dir, 'config.yml'), JSON.stringify(config));
  const child = spawn('docker-registry', ['serve', join(dir, 'config.yml')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit');
  let host = '';
  for await (const line of createInterface(child.stderr)) {
    host = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1] ?? '';
    if (host !== '') break;
  }
  child.stderr.resume();
  return {
    host,
    async push(image, name, configDir) {
      const reference = `${host}/${name}`;
      await docker('tag', image, reference);
      await docker(...(configDir === undefined ? [] : ['--config', configDir]), 'push', reference);
      await docker('rmi', reference);
      return reference;
    },
    holdUntil(moment) {
      child.kill('SIGSTOP');
      void moment.finally(() => child.kill('SIGCONT'));
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
      rmSync(dir, { recursive: true });
    },
  };
}
