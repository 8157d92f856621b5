import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, expect, test } from '@jest/globals';

import { openPipe } from '../../../src/runtime/fifo.ts';
import type { Part } from '../../../src/runtime/parts.ts';
import { BrokenOff } from '../../../src/runtime/stream-errors.ts';
import {
  startTarSieve,
  type Sifted,
  type SieveSettings,
} from '../../../src/runtime/tar-sieve-process.ts';
import { tarEnd, tarEntry, tarHeader } from '../../support/tar-bytes.ts';

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'snapvol-sieve-'));
});

afterAll(() => {
  rmSync(dir, { recursive: true });
});

const large = tarEntry('./large', Buffer.alloc(3_000_000, 'x'));
const fifo = tarHeader({ name: './fifo', type: '6' });
const stream = Buffer.concat([fifo, tarEntry('./file', 'content'), large, tarEnd]);
const sifted = stream.subarray(fifo.length);

/** From one file to another. */
function sift(
  bytes: Buffer,
  settings: SieveSettings,
  onBytes: (bytes: number) => void = () => undefined,
): { readonly output: string; readonly part: Part<Sifted> } {
  const [input, output] = [join(dir, 'input'), join(dir, 'output')];
  writeFileSync(input, bytes);
  const part = startTarSieve(openSync(input, 'r'), openSync(output, 'w'), settings, onBytes);
  return { output, part };
}

test('lets through what it should, and tells of it', async () => {
  const told: number[] = [];
  const { output, part } = sift(stream, { dropsNodes: true }, (bytes) => told.push(bytes));
  expect(await part.done).toEqual({
    kind: 'end',
    inputBytes: stream.length,
    holeBytes: 0,
    summary: {
      ...{ tarBytes: sifted.length, entries: 2, features: [] },
      notes: ['left out FIFOs and device nodes: ./fifo'],
      contents: { files: 2, farLinks: [] },
    },
  });
  expect(readFileSync(output).equals(sifted)).toBe(true);
  expect(told.length).toBeGreaterThan(1);
});

test('leaves out what is of no use', async () => {
  const leaveOut = [{ pattern: 'lar*', reason: 'too large' }];
  const { output, part } = sift(stream, { dropsNodes: true, leaveOut });
  expect((await part.done).summary.entries).toBe(1);
  expect(readFileSync(output).includes('large')).toBe(false);
});

test.each([
  ['a node', { entries: 9, tarBytes: 1e9, unpackedBytes: 1e9 }, 'is a device node or FIFO'],
  ['too many bytes', { entries: 9, tarBytes: 1e6, unpackedBytes: 1e9 }, 'it unpacks to more than'],
])('with limits it refuses %s', async (_, limits, message) => {
  const bytes = message.includes('node') ? stream : sifted;
  const { part } = sift(bytes, { dropsNodes: false, limits });
  await expect(part.done).rejects.toMatchObject({
    code: 'snapshot-corrupt',
    message: expect.stringContaining(message),
  });
});

test('a stream that ends in the middle is none', async () => {
  const { part } = sift(stream.subarray(0, 100_000), { dropsNodes: true });
  await expect(part.done).rejects.toMatchObject({ code: 'snapshot-corrupt' });
});

test('a reader that has gone, or a stop, breaks it off', async () => {
  const input = join(dir, 'input');
  writeFileSync(input, stream);
  const pipe = await openPipe(join(dir, 'pipe'));
  closeSync(pipe.read);
  const settings = { dropsNodes: true };
  const left = startTarSieve(openSync(input, 'r'), pipe.write, settings, () => undefined);
  await expect(left.done).rejects.toBeInstanceOf(BrokenOff);

  const silent = await openPipe(join(dir, 'pipe'));
  const output = openSync(join(dir, 'output'), 'w');
  const waiting = startTarSieve(silent.read, output, settings, () => undefined);
  waiting.stop();
  await expect(waiting.done).rejects.toBeInstanceOf(BrokenOff);
  closeSync(silent.write);
});

test('a program that cannot work says why', async () => {
  const output = openSync(join(dir, 'output'), 'w');
  const folder = startTarSieve(openSync(dir, 'r'), output, { dropsNodes: true }, () => undefined);
  await expect(folder.done).rejects.toMatchObject({
    code: 'copy-failed',
    message: expect.stringContaining('EISDIR'),
  });
});
