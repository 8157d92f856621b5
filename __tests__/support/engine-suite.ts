import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { runCli } from './cli.ts';
import { containerLog, docker, removeMadeWith } from './docker-cli.ts';
import { testImage } from './images.ts';
import type { Server } from './servers.ts';
import { createScratch, type ScratchFolder } from './store-bundles.ts';

const run = promisify(execFile);
/** One line of JSON for each server and way; script/test makes a table of them. */
const timesFile = resolve(import.meta.dirname, '../../.work/engine-times.jsonl');

interface Started {
  readonly outcome: string;
  readonly container: string;
  readonly volume: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly seconds: Readonly<Record<'seed' | 'snapshot' | 'restore' | 'ready', number>>;
}

/**
 * For each server, and each way of copying: a database is seeded, saved, destroyed, and restored from nothing but the
 * snapshot; it must hold the same, and its server must have found it as it would after a clean shutdown.
 */
export function describeServers(servers: readonly Server[]): void {
  let scratch: ScratchFolder;
  const names: string[] = [];
  beforeAll(async () => {
    scratch = await createScratch();
  });
  afterAll(async () => {
    for (const name of names) await removeMadeWith(`dev.snapvol.name=${name}`);
    await scratch.remove();
  });

  test.each(servers)(
    '$title holds the same after a restore, by every way of copying',
    async (server) => {
      const name = `engine-${randomBytes(4).toString('hex')}`;
      names.push(name);
      const store = `file:${await scratch.folder('store')}`;
      const snapvol = async (...args: string[]): Promise<{ stdout: string; log: string }> => {
        const result = await runCli(args, { env: { SNAPVOL_STORE: store } });
        expect(result).toEqual({ ...result, exitCode: 0 });
        return { stdout: result.stdout, log: result.stderr };
      };
      const start = async (...more: string[]): Promise<{ report: Started; log: string }> => {
        const inputs = Object.entries({
          image: testImage(server.image),
          port: '0',
          ...server.inputs,
        });
        const { stdout, log } = await snapvol(
          ...[
            'start',
            name,
            '--json',
            ...inputs.flatMap(([input, value]) => [`--${input}`, value]),
          ],
          ...['--seed', server.seed, '--check', server.checksum, ...more],
        );
        // A cast: the fields that are read are compared below, or printed.
        return { report: JSON.parse(stdout) as Started, log };
      };
      const checksum = ({ container, user, database }: Started): Promise<string> =>
        shell(server.checksum, {
          SNAPVOL_CONTAINER: container,
          SNAPVOL_USER: user,
          SNAPVOL_DATABASE: database,
          ...passwordEnv(server),
        });

      const [firstWay = 'archive', secondWay] = server.ways;
      const seeded = await start('--copy', firstWay);
      expect(seeded.report).toMatchObject({ outcome: 'miss', save: { kind: 'saved' } });
      const original = await checksum(seeded.report);
      expect(original).toMatch(server.image === 'etcd' ? /\d{5,}/ : /200000/);
      await snapvol('stop', name);
      expect(await docker('volume', 'ls', '--quiet')).not.toContain(seeded.report.volume);

      const expectRestored = async (way: string, more: readonly string[]): Promise<Started> => {
        const { report, log } = await start('--copy', way, '--fail-on-miss', ...more);
        expect(report.outcome).toBe('hit');
        expect(log).toContain(`(${way}), sha256 verified`);
        expect(await checksum(report)).toBe(original);
        const serverLog = await logOf(server, report.container);
        expect(serverLog).toMatch(server.started);
        expect(serverLog).not.toMatch(server.recovery);
        return report;
      };
      const restored = await expectRestored(firstWay, []);
      await note(server, firstWay, seeded.log, {
        seed: seeded.report.seconds.seed,
        save: copySeconds(seeded.log),
        restore: restored.seconds.restore,
        ready: restored.seconds.ready,
      });

      if (secondWay === undefined) return;
      const saved = await snapvol('save', name, '--key', 'second', '--copy', secondWay);
      await snapvol('stop', name);
      const again = await expectRestored(secondWay, ['--key', 'second']);
      await note(server, secondWay, saved.log, {
        save: copySeconds(saved.log),
        restore: again.seconds.restore,
        ready: again.seconds.ready,
      });
    },
  );
}

async function shell(script: string, env: Readonly<Record<string, string>>): Promise<string> {
  const { stdout } = await run('bash', ['-c', script], { env: { ...process.env, ...env } });
  return stdout.trim();
}

function passwordEnv({ inputs }: Server): Record<string, string> {
  const password = inputs?.password ?? 'postgres';
  return {
    SNAPVOL_PASSWORD: password,
    MYSQL_PWD: password,
    PGUSER: 'postgres',
    PGDATABASE: 'postgres',
  };
}

async function logOf({ logFile }: Server, container: string): Promise<string> {
  return logFile === undefined
    ? containerLog(container)
    : docker('exec', container, 'cat', logFile);
}

function copySeconds(log: string): number {
  return Number(/volume data: .* in ([\d.]+) s \(/.exec(log)?.[1]);
}

async function note(
  { title }: Server,
  way: string,
  log: string,
  seconds: Readonly<Record<string, number>>,
): Promise<void> {
  const stop = Number(/stopped in ([\d.]+) s/.exec(log)?.[1]);
  const sizes = /entries, (\S+ \S+) -> (\S+ \S+) in/.exec(log)?.slice(1, 3).join(' -> ');
  await appendFile(timesFile, `${JSON.stringify({ title, way, sizes, stop, ...seconds })}\n`);
}
