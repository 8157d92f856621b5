import { randomUUID } from 'node:crypto';

import { expect, test } from '@jest/globals';

import { place, thisProcess } from '../../src/process-identity.ts';
import { helperImages } from '../../src/usecases/helper-images.ts';
import { runCli } from '../support/cli.ts';
import { connectEngine } from '../support/connect-engine.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { createRecordingLog } from '../support/recording-log.ts';

const runtime = connectEngine();
const { signal } = new AbortController();

test('an image with nothing in it is made once, where no other is there, and goes in the end', async () => {
  const task = randomUUID();
  const made = (): Promise<string> => docker('images', '--quiet', `snapvol-empty:${task}`);
  {
    const log = createRecordingLog();
    await using images = helperImages({ runtime, log }, task, signal);
    const [here, missing] = [testImage('no-tar'), `localhost:1/missing:${task}`];
    expect(await images.choose([undefined, here, missing])).toBe(here);
    // What a snapshot names is not even asked for where it is not here.
    expect(await images.choose([undefined], here)).toBe(here);
    expect(await made()).toBe('');
    expect(await images.choose([], missing)).toBe(`snapvol-empty:${task}`);
    expect(log.lines.join()).not.toContain(missing);
    expect(await images.choose([missing, here])).toBe(here);
    expect(await images.choose([missing])).toBe(`snapvol-empty:${task}`);
    expect(await images.choose([])).toBe(`snapvol-empty:${task}`);
    expect(await made()).not.toBe('');
  }
  expect(await made()).toBe('');
});

test('one that a killed process has left is removed by recover, one of a living process stays', async () => {
  const names = { dead: `snapvol-empty:${randomUUID()}`, alive: `snapvol-empty:${randomUUID()}` };
  const purpose = { 'dev.snapvol.purpose': 'copy' };
  const dead = { ...purpose, 'dev.snapvol.maker': `${place()} 999999999 1` };
  await runtime.importEmptyImage(names.dead, dead);
  await runtime.importEmptyImage(names.alive, { ...purpose, 'dev.snapvol.maker': thisProcess() });
  try {
    const { stdout } = await runCli(['recover']);
    expect(stdout).toBe(`repaired: removed the empty image ${names.dead}\n`);
    expect(await docker('images', '--quiet', names.dead)).toBe('');
    expect(await docker('images', '--quiet', names.alive)).not.toBe('');
  } finally {
    await runtime.removeImage(names.dead);
    await runtime.removeImage(names.alive);
  }
});
