import { describe, expect, test } from '@jest/globals';

import { genericEngine } from '../../../src/engines/generic.ts';
import { endpoint } from '../../support/engines.ts';
import { makeImage } from '../../support/image-facts.ts';

describe('generic', () => {
  const options = { dataPath: undefined, port: undefined, readyCommand: 'true', url: undefined };

  test('takes the only volume and the only port of an image', () => {
    const image = makeImage({ volumes: ['/data'], ports: [6379] });
    const engine = genericEngine(options);
    expect(engine.location(image, {})).toEqual({ mountPath: '/data', dataPath: '/data' });
    expect(engine.port(image)).toBe(6379);
  });

  test.each([[[]], [['/a', '/b']]])(
    'asks for data-path when an image declares %j',
    (volumes: string[]) => {
      expect(() => genericEngine(options).location(makeImage({ volumes }), {})).toThrow(
        expect.objectContaining({
          code: 'invalid-settings',
          hint: expect.stringContaining('data-path'),
        }),
      );
    },
  );

  test('fills its URL template, encoded', () => {
    const engine = genericEngine({
      ...options,
      url: 'x://{user}:{password}@{host}:{port}/{database}?a={nope}',
    });
    expect(engine.url(endpoint)).toBe('x://a%40b:p%2Fw%3Ad@127.0.0.1:5433/shop%20db?a={nope}');
  });
});
