import { describe, expect, test } from '@jest/globals';

import { criticalPath, describePath, isOnPath } from '../../../src/usecases/critical-path.ts';
import type { Phase, PhaseName } from '../../../src/usecases/phases.ts';

const phase = (name: PhaseName, startSeconds: number, seconds: number): Phase => ({
  ...{ name, startSeconds, seconds, inVain: false },
});

describe('the critical path', () => {
  test('is all phases where they follow each other, and what lies between them', () => {
    const phases = [phase('image', 0, 0.1), phase('search', 0.1, 0.2), phase('ready', 0.7, 1.1)];
    const path = criticalPath(phases, 2);
    expect(path).toEqual([
      { name: 'image', seconds: 0.1 },
      { name: 'search', seconds: 0.2 },
      { name: 'ready', seconds: 1.1 },
      { name: 'other', seconds: 0.6 },
    ]);
    expect(describePath(path, 2)).toBe('2.0 s: image 0.1, search 0.2, ready 1.1, other 0.6');
  });

  test('leaves out what ran beside it, whichever of them ended last', () => {
    const restore = phase('restore', 5, 2);
    const [slowPull, quickPull] = [phase('image', 0, 5), phase('image', 0, 1)];
    const names = (phases: readonly Phase[], total: number) =>
      criticalPath(phases, total).map(({ name }) => name);
    expect(names([phase('search', 0, 3), slowPull, restore], 7)).toEqual(['image', 'restore']);
    expect(names([quickPull, phase('search', 0, 5), restore], 7)).toEqual(['search', 'restore']);
    expect(names([phase('search', 0.5, 4.5), slowPull, restore], 7)).toEqual(['image', 'restore']);
  });

  test('cuts what goes on beside the next one', () => {
    const pull = phase('image', 0, 10);
    const path = criticalPath([pull, phase('search', 5, 7)], 12);
    expect(path).toEqual([
      { name: 'image', seconds: 5 },
      { name: 'search', seconds: 7 },
    ]);
    expect(isOnPath(path, pull)).toBe(true);
    expect(isOnPath(path, phase('restore', 0, 1))).toBe(false);
  });

  test('knows one name twice, no phase at all, and phases without a length', () => {
    const twice = [phase('ready', 0, 1), phase('seed', 1, 0), phase('ready', 1, 2)];
    expect(criticalPath(twice, 3)).toEqual([
      { name: 'ready', seconds: 1 },
      { name: 'ready', seconds: 2 },
    ]);
    expect(criticalPath([], 0.5)).toEqual([{ name: 'other', seconds: 0.5 }]);
    expect(criticalPath([], 0)).toEqual([]);
    expect(describePath([], 0)).toBe('0.0 s');
    expect(describePath([{ name: 'other', seconds: 0.04 }], 0.04)).toBe('0.0 s');
  });

  test('fits together where sums of fractions do not', () => {
    const phases = [phase('image', 0.1, 0.2), phase('search', 0.3, 0.3), phase('ready', 0.6, 0.1)];
    const path = criticalPath(phases, 0.7);
    expect(path.map(({ name }) => name)).toEqual(['image', 'search', 'ready', 'other']);
    expect(path.at(-1)).toEqual({ name: 'other', seconds: 0.1 });
  });
});
