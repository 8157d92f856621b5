import { expect, test } from '@jest/globals';
import fc from 'fast-check';

import { linesOf, unframe } from '../../../src/runtime/docker-frames.ts';

function frame(stream: number, text: Buffer): Buffer {
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0]);
  header.writeUInt32BE(text.length, 4);
  return Buffer.concat([header, text]);
}

test('the texts of all frames are joined, whatever their stream', () => {
  const texts = fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), fc.uint8Array()));
  fc.assert(
    fc.property(texts, (frames) => {
      const framed = Buffer.concat(
        frames.map(([stream, text]) => frame(stream, Buffer.from(text))),
      );
      expect(unframe(framed)).toEqual(Buffer.concat(frames.map(([, text]) => text)));
    }),
  );
});

test('a frame that is cut off gives what there is of it', () => {
  const framed = Buffer.concat([frame(1, Buffer.from('one')), frame(2, Buffer.from('two'))]);
  expect(unframe(framed.subarray(0, -1)).toString()).toBe('onetw');
  expect(unframe(framed.subarray(0, 11 + 7)).toString()).toBe('one');
  expect(unframe(Buffer.alloc(0))).toEqual(Buffer.alloc(0));
});

test('the output of a terminal has no frames', () => {
  const text = Buffer.from('as it is on the screen\r\n');
  expect(unframe(text)).toEqual(text);
});

test('lines have no line ends, and the last newline starts no line', () => {
  expect(linesOf('')).toEqual([]);
  expect(linesOf('one')).toEqual(['one']);
  expect(linesOf('one\r\ntwo\n')).toEqual(['one', 'two']);
  expect(linesOf('\n\ntwo empty lines before')).toEqual(['', '', 'two empty lines before']);
});
