import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

/** A running Azurite blob service on loopback. Everything is kept in memory. */
export interface Azurite {
  /** `http://127.0.0.1:PORT`. */
  readonly origin: string;
  close(): Promise<void>;
}

const START_LIMIT_MS = 30_000;

/**
 * Starts Azurite as a process of its own: inside the test process it would go through the test runner's module
 * loader, and it reads `process.argv`.
 */
export async function startAzurite(): Promise<Azurite> {
  const program = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js');
  const flags = ['--blobPort', '0', '--inMemoryPersistence', '--silent', '--skipApiVersionCheck'];
  const child = spawn(process.execPath, [program, ...flags, '--disableTelemetry'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env['PATH'] },
  });
  const kill = (): void => {
    child.kill('SIGKILL');
  };
  process.once('exit', kill);
  const tooLong = setTimeout(kill, START_LIMIT_MS);

  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const origin = /successfully listens on (http:\S+)/.exec(line)?.[1];
    if (origin === undefined) continue;
    clearTimeout(tooLong);
    // Nobody reads on; without this a full pipe would stop the process one day.
    child.stdout.resume();
    return {
      origin,
      async close() {
        process.removeListener('exit', kill);
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        kill();
        await gone;
      },
    };
  }
  clearTimeout(tooLong);
  throw new Error('Azurite ended before it listened');
}
