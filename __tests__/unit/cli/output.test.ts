import { describe, expect, test } from '@jest/globals';

import * as views from '../../../src/cli/output.ts';
import { defaultStore } from '../../../src/cli/surroundings.ts';
import { AppError } from '../../../src/errors.ts';
import type { StartReport } from '../../../src/usecases/report.ts';

const report: StartReport = {
  outcome: 'hit',
  missReason: undefined,
  key: 'k1',
  keyParts: [{ name: 'image', value: 'postgres:17' }],
  matchedKey: 'k1',
  store: 'file:/s',
  name: 'shop',
  engine: 'postgres',
  image: 'postgres:17',
  container: '0123456789abcdef',
  volume: 'v',
  endpoint: { host: '127.0.0.1', port: 5432, user: 'app', password: 'pass', database: 'shop' },
  url: 'postgresql://app:pass@127.0.0.1:5432/shop',
  snapshot: { digest: 'd', sizeBytes: 9 },
  save: { kind: 'skipped', reason: 'it was restored' },
  phases: [],
  seconds: { total: 2 },
};

describe('the view of start', () => {
  test('is the URL alone', () => {
    expect(views.startView(report).text).toBe(report.url);
  });

  test('has the password nowhere but in the URL', () => {
    const json = views.toJson(views.startView(report).json);
    expect(json.replace(report.url, '')).not.toContain('pass');
    expect(views.startLines(report).join('\n')).not.toContain('pass');
  });

  test('is flat in JSON, with null for what there is not', () => {
    expect(JSON.parse(views.toJson(views.startView(report).json))).toMatchObject({
      outcome: 'hit',
      missReason: null,
      host: '127.0.0.1',
      port: 5432,
      user: 'app',
      database: 'shop',
      url: report.url,
      seconds: { total: 2 },
    });
  });

  test('says how the data came, where it is, and how to stop', () => {
    expect(views.startLines(report)).toEqual([
      'shop: restored from k1, in 2 s',
      '  serves at 127.0.0.1:5432, user app, database shop',
      '  look inside: docker exec -it 0123456789ab sh',
      '  remove it:   snapvol stop shop',
    ]);
    const seeded: StartReport = { ...report, outcome: 'miss', save: { kind: 'saved' } };
    expect(views.startLines(seeded)[0]).toBe('shop: seeded, saved as k1, in 2 s');
    const nameless = { ...report, endpoint: { ...report.endpoint, user: '', database: '' } };
    expect(views.startLines(nameless)[1]).toBe('  serves at 127.0.0.1:5432');
  });
});

describe('other views', () => {
  test('an error is one object, without secrets', () => {
    const error = new AppError('port-taken', 'taken by "secret"', { details: ['secret'] });
    const json = views.toJson(views.errorView(error, (text) => text.replaceAll('secret', '***')));
    expect(JSON.parse(json)).toEqual({
      error: { code: 'port-taken', message: 'taken by "***"', hint: null, details: ['***'] },
    });
  });
});

describe('the default store', () => {
  test('is $SNAPVOL_STORE, else a folder under the data folder of the user', () => {
    const home = '/home/me';
    expect(defaultStore({ SNAPVOL_STORE: 'file:/s', XDG_DATA_HOME: '/x' }, home)).toBe('file:/s');
    expect(defaultStore({ XDG_DATA_HOME: '/x' }, home)).toBe('file:/x/snapvol');
    expect(defaultStore({ SNAPVOL_STORE: '', XDG_DATA_HOME: '' }, home)).toBe(
      'file:/home/me/.local/share/snapvol',
    );
  });
});
