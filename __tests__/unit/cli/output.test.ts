import { describe, expect, test } from '@jest/globals';

import * as views from '../../../src/cli/output.ts';
import { defaultStore } from '../../../src/cli/surroundings.ts';
import { AppError } from '../../../src/errors.ts';
import type { StartReport } from '../../../src/usecases/report.ts';
import { makeReport } from '../../support/reports.ts';

const report = makeReport();

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
      snapshot: { sizeBytes: 9_000_000, largestTables: [{ name: 'item' }] },
      seconds: { restore: 1.3, total: 2 },
      criticalPath: [{ name: 'search' }, { name: 'restore' }, { name: 'other', seconds: 0.3 }],
      savings: { savedSeconds: 13 },
    });
  });

  test('says how the data came, where it is, and how to stop', () => {
    expect(views.startLines(report)).toEqual([
      'shop: restored from k1, in 2 s, 13.0 s less than seeding (15.0 s)',
      '  serves at 127.0.0.1:5432, user app, database shop',
      '  look inside: docker exec -it 0123456789ab sh',
      '  remove it:   snapvol stop shop',
    ]);
    const seeded: StartReport = {
      ...report,
      ...{ outcome: 'miss', save: { kind: 'saved' }, savings: undefined },
    };
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
    expect(defaultStore({ SNAPVOL_STORE: 'file:/s', XDG_DATA_HOME: '/x' })).toBe('file:/s');
    expect(defaultStore({ XDG_DATA_HOME: '/x' })).toBe('file:/x/snapvol');
    expect(defaultStore({ SNAPVOL_STORE: '', XDG_DATA_HOME: '' })).toBe(
      'file:~/.local/share/snapvol',
    );
  });
});
