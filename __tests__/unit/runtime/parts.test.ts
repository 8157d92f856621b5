import { expect, test } from '@jest/globals';

import { AppError } from '../../../src/errors.ts';
import { together, type Part } from '../../../src/runtime/parts.ts';
import { BrokenOff } from '../../../src/runtime/stream-errors.ts';

/** A part that ends by `end`, or when it is stopped. */
function part(): Part & { stopped: boolean; end(error?: Error): void } {
  const done = Promise.withResolvers<undefined>();
  return {
    done: done.promise,
    stopped: false,
    stop() {
      this.stopped = true;
      done.reject(new BrokenOff('stopped'));
    },
    end(error) {
      if (error) done.reject(error);
      else done.resolve(undefined);
    },
  };
}

const never = new AbortController().signal;

test('all end well', async () => {
  const parts = [part(), part()];
  const ended = together(parts, never);
  for (const each of parts) each.end();
  await ended;
  expect(parts.some(({ stopped }) => stopped)).toBe(false);
});

test('when one fails, the others are stopped', async () => {
  const [zstd, tar] = [part(), part()];
  const ended = together([zstd, tar], never);
  const full = new AppError('copy-failed', 'the disk is full');
  tar.end(full);
  await expect(ended).rejects.toBe(full);
  expect(zstd.stopped).toBe(true);
});

test('where a stream breaks, a neighbour may still say why', async () => {
  const [zstd, tar] = [part(), part()];
  const ended = together([zstd, tar], never);
  tar.end(new BrokenOff('broken pipe'));
  await new Promise(setImmediate);
  expect(zstd.stopped).toBe(false);
  const damaged = new AppError('snapshot-corrupt', 'zstd failed');
  zstd.end(damaged);
  await expect(ended).rejects.toBe(damaged);
});

test('where no one says why, that it broke is all there is to tell', async () => {
  const parts = [part(), part()];
  const ended = together(parts, never);
  for (const each of parts) each.end(new BrokenOff('broken pipe'));
  await expect(ended).rejects.toThrow('broken pipe');
});

test.each(['before', 'meanwhile'])('all are stopped by a signal that comes %s', async (when) => {
  const controller = new AbortController();
  const parts = [part(), part()];
  if (when === 'before') controller.abort(new Error('enough'));
  const ended = together(parts, controller.signal);
  controller.abort(new Error('enough'));
  await expect(ended).rejects.toThrow('enough');
  expect(parts.every(({ stopped }) => stopped)).toBe(true);
});
