import { randomUUID } from 'node:crypto';

import { expect, test } from '@jest/globals';

import { connectDocker } from '../../src/runtime/docker.ts';
import { helperImages } from '../../src/usecases/helper-images.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { createRecordingLog } from '../support/recording-log.ts';

const runtime = connectDocker();
const { signal } = new AbortController();

test('an image with nothing in it is made once, where no other is there, and goes in the end', async () => {
  const task = randomUUID();
  const made = (): Promise<string> => docker('images', '--quiet', `snapvol-empty:${task}`);
  {
    await using images = helperImages({ runtime, log: createRecordingLog() }, task, signal);
    const [here, missing] = [testImage('no-tar'), `localhost:1/missing:${task}`];
    expect(await images.choose([undefined, null, here, missing])).toBe(here);
    expect(await made()).toBe('');
    expect(await images.choose([missing, here])).toBe(here);
    expect(await images.choose([missing])).toBe(`snapvol-empty:${task}`);
    expect(await images.choose([])).toBe(`snapvol-empty:${task}`);
    expect(await made()).not.toBe('');
  }
  expect(await made()).toBe('');
});
