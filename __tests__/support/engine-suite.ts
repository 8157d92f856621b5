import { appendFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { expect, test } from '@jest/globals';

import { runCli, useNames } from './cli.ts';
import { docker } from './docker-cli.ts';
import { engineNamed } from './engines.ts';
import { testImage } from './images.ts';
import { logOf, runIn, shell, type Serving } from './server-shell.ts';
import { rowCount, type Server } from './servers.ts';
import { useScratch } from './store-bundles.ts';

/** One line of JSON for each server and way; script/test makes a table of them. */
const timesFile = resolve(import.meta.dirname, '../../.work/engine-times.jsonl');

interface Started extends Serving {
  readonly outcome: string;
  readonly key: string;
  readonly save: object;
  readonly snapshot: { readonly largestTables: readonly { name: string; bytes: number }[] };
  readonly volume: string;
  readonly seconds: Readonly<Record<'seed' | 'snapshot' | 'restore' | 'ready', number>>;
}

/**
 * For each server, and each way of copying: a database is seeded, saved, destroyed, and restored from nothing but the
 * snapshot; it must hold the same, and its server must have found it as it would after a clean shutdown.
 */
export function describeServers(servers: readonly Server[]): void {
  const scratch = useScratch();
  const newName = useNames('engine');

  test.each(servers)(
    '$title holds the same after a restore, by every way of copying',
    async (server) => {
      const name = newName();
      const folder = await scratch.folder('store');
      const store = `file:${folder}`;
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
      const checksum = (started: Started): Promise<string> =>
        runIn(server, started, server.checksum);

      const [firstWay = 'archive', secondWay] = server.ways;
      const seeded = await start('--copy', firstWay);
      expect(seeded.report.outcome).toBe('miss');
      expect(seeded.report.save).toEqual({ kind: 'saved' });
      const { largestTables } = seeded.report.snapshot;
      if (engineNamed(server.inputs?.engine, server.image).largestTables)
        expect(largestTables).toEqual([{ name: 'item', bytes: expect.any(Number) }]);
      for (const { bytes } of largestTables) expect(bytes).toBeGreaterThan(rowCount * 32);
      const original = await checksum(seeded.report);
      expect(original).toMatch(server.sum ?? new RegExp(`^${rowCount}\\b`));
      if (server.spare !== undefined) {
        expect(seeded.log).toContain('volume data: left out: ');
        await snapvol('save', name, '--key', 'whole', '--copy', firstWay, '--trim', 'false');
        const whole = await spareNames(server, folder, 'whole');
        expect(whole.length).toBeGreaterThan(server.spare.atMost);
        const rest = await spareNames(server, folder, seeded.report.key);
        expect(rest.length).toBeLessThanOrEqual(server.spare.atMost);
        expect(whole).toEqual(expect.arrayContaining(rest));
      }
      await snapvol('stop', name);
      expect(await docker('volume', 'ls', '--quiet')).not.toContain(seeded.report.volume);

      const expectRestored = async (way: string, more: readonly string[]): Promise<Started> => {
        const { report, log } = await start('--copy', way, '--fail-on-miss', ...more);
        expect(report.outcome).toBe('hit');
        if (more.length === 0) expect(report.snapshot.largestTables).toEqual(largestTables);
        expect(log).toContain(`(${way}), sha256 verified`);
        expect(log).not.toContain('will upgrade the data');
        expect(await checksum(report)).toBe(original);
        if (server.verify !== undefined) {
          await runIn(server, report, server.verify);
          expect(await checksum(report)).toBe(original);
        }
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
      if (server.spare !== undefined) {
        const rest = await spareNames(server, folder, 'second');
        expect(rest.length).toBeLessThanOrEqual(server.spare.atMost);
      }
      const again = await expectRestored(secondWay, ['--key', 'second']);
      await note(server, secondWay, saved.log, {
        save: copySeconds(saved.log),
        restore: again.seconds.restore,
        ready: again.seconds.ready,
      });
    },
  );
}

/** Which of the files that need not be there an archive holds. */
async function spareNames({ spare }: Server, folder: string, key: string): Promise<string[]> {
  const list = 'zstd --decompress --stdout "$ARCHIVE" | tar --list --quoting-style=literal';
  const names = await shell(list, { ARCHIVE: join(folder, key, 'data.tar.zst') });
  return names.split('\n').filter((each) => spare?.names.test(each) === true);
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
