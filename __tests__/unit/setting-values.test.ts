import { expect, test } from '@jest/globals';

import { ageMs, countOf, parseSample, storageBytes } from '../../src/setting-values.ts';

const hourMs = 60 * 60 * 1000;

test('ages have a unit', () => {
  expect(ageMs('90s')).toBe(90_000);
  expect(ageMs('5m')).toBe(300_000);
  expect(ageMs('12h')).toBe(12 * hourMs);
  expect(ageMs('7 d')).toBe(7 * 24 * hourMs);
  expect(ageMs('2w')).toBe(14 * 24 * hourMs);
  for (const wrong of ['7', '0d', '-1d', '1.5d', '7x', 'd', '7dd', '']) {
    expect(() => ageMs(wrong)).toThrow(`"${wrong}" is not an age like 12h, 7d or 2w`);
  }
});

test('room on a disk is in powers of 1000, as sizes are printed, or of 1024', () => {
  expect(storageBytes('5GB')).toBe(5e9);
  expect(storageBytes('1.5 TB')).toBe(1.5e12);
  expect(storageBytes('500mb')).toBe(5e8);
  expect(storageBytes('12B')).toBe(12);
  expect(storageBytes('2GiB')).toBe(2 * 1024 ** 3);
  // A number alone would mean bytes, and remove nearly everything.
  for (const wrong of ['5', '5G', '0GB', '-5GB', '5XB', '5iB', 'GB', '']) {
    expect(() => storageBytes(wrong)).toThrow(`"${wrong}" is not a size like 500MB`);
  }
});

test('numbers are whole, and 1 or more', () => {
  expect(countOf('12')).toBe(12);
  for (const wrong of ['0', '-1', '1.5', '1e3', '', '1000000000']) {
    expect(() => countOf(wrong)).toThrow('is not a number of 1 or more');
  }
});

test('a sample is a number or a share', () => {
  expect(parseSample('3')).toEqual({ kind: 'count', count: 3 });
  expect(parseSample('20%')).toEqual({ kind: 'share', percent: 20 });
  expect(parseSample('100%')).toEqual({ kind: 'share', percent: 100 });
  for (const wrong of ['0', '0%', '101%', '-3', '3.5', '%', 'all', '']) {
    expect(() => parseSample(wrong)).toThrow('is neither a number like 3 nor a share like 20%');
  }
});
