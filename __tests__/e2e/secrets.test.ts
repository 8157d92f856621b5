import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setInterval } from 'node:timers/promises';

import { expect, test } from '@jest/globals';

import { docker, madeWith } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { startJob, storeOfJobs, type Inputs } from '../support/runner.ts';
import { useScratch } from '../support/store-bundles.ts';

// Whatever people, other processes and stores get to see of a job is searched for its secrets.

const scratch = useScratch();
/** A word that is found in no other place, with what a URL must encode. */
const password = `s3cr+t/${process.pid}%`;
const environmentSecret = `env-s3cret-${process.pid}`;
const token = `ghs_s3cret${process.pid}`;
const forms = [
  ...[password, environmentSecret, token].flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    Buffer.from(secret).toString('base64'),
    Buffer.from(secret).toString('hex'),
    JSON.stringify(secret).slice(1, -1),
  ]),
];

function leaks(where: string, text: string): string[] {
  return forms.filter((form) => text.includes(form)).map((form) => `${where}: ${form}`);
}

/** What `ps` shows to every user of the host, as long as `work` goes on. */
async function whileWatchingProcesses<T>(work: () => Promise<T>): Promise<[T, string]> {
  const seen = new Set<string>();
  const ended = new AbortController();
  const readProcesses = async (): Promise<void> => {
    for (const pid of await readdir('/proc')) {
      if (!/^\d+$/.test(pid)) continue;
      seen.add(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''));
    }
  };
  const watching = (async () => {
    for await (const look of setInterval(50, readProcesses, { signal: ended.signal })) await look();
  })();
  const stopped = expect(watching).rejects.toThrow('aborted');
  try {
    return [await work(), [...seen].join('\n').replaceAll('\0', ' ')];
  } finally {
    ended.abort();
    await stopped;
  }
}

/** All labels and all of the state but the environment: a container has its password there, for its server. */
async function labelsOf(label: string): Promise<string> {
  const { containers, volumes } = await madeWith(label);
  const format = '{{json .Config.Labels}} {{.Name}} {{json .Args}}';
  const shown = await Promise.all([
    ...containers.map((name) => docker('inspect', '--format', format, name)),
    ...volumes.map((name) => docker('volume', 'inspect', name)),
  ]);
  return shown.join('\n');
}

const miss: Inputs = {};
test.each<{ engine: string; inputs: Inputs; steps: readonly Inputs[] }>([
  {
    engine: 'postgres: on a miss, on a hit, and when something fails',
    inputs: { image: testImage('postgres:17'), user: 'shop' },
    steps: [miss, {}, { seed: 'false', key: 'other' }, { port: '99999' }],
  },
  { engine: 'mariadb', inputs: { image: testImage('mariadb:11.8'), user: 'shop' }, steps: [miss] },
  { engine: 'redis', inputs: { image: testImage('redis:7') }, steps: [miss] },
])('no secret is seen of $engine', async ({ inputs, steps }) => {
  const store = await scratch.folder('store');
  await using job = await startJob({ token });
  const wanted: Inputs = {
    ...inputs,
    ...{ password, port: '0', store: `file:${store}`, key: 'k', seed: 'true', check: 'true' },
    ...{ env: `APP_SECRET=${environmentSecret}` },
  };
  const found: string[] = [];
  for (const changes of steps) {
    const [step, processes] = await whileWatchingProcesses(() =>
      job.step({ ...wanted, ...changes }),
    );
    expect(processes).toContain('dist/main.js');
    expect(step.masks).toEqual(expect.arrayContaining([token]));
    found.push(...leaks('processes', processes), ...leaks('log', step.log));
    found.push(...leaks('summary', step.summary), ...leaks('state', JSON.stringify(step.state)));
    found.push(...leaks('labels', await labelsOf(job.label)));
    found.push(...leaks('log of post', (await step.post()).log));
  }
  const manifest = await readFile(join(storeOfJobs(store), 'k', 'manifest.json'), 'utf8');
  expect(manifest).toContain('"passwordHash"');
  found.push(...leaks('manifest', manifest));
  expect(found).toEqual([]);
});
