import { describe, expect, test } from '@jest/globals';

import { createTerminalLog, type Verbosity } from '../../../src/cli/log.ts';
import { formatProgress } from '../../../src/cli/progress.ts';
import { AppError } from '../../../src/errors.ts';

/** A log on a screen that remembers, with a clock that stands still. */
function createScreen(options: { isTTY?: boolean; verbosity?: Verbosity } = {}) {
  const { isTTY = false, verbosity = 'normal' } = options;
  const screen = { text: '', nowMs: 0 };
  const stream = {
    isTTY,
    columns: 60,
    write(text: string) {
      screen.text += text;
    },
  };
  const log = createTerminalLog(stream, verbosity, () => screen.nowMs);
  return { screen, log };
}

describe('the log on a terminal', () => {
  test('indents what is in a group', async () => {
    const { screen, log } = createScreen();
    await log.group('Outer', async () => {
      log.info('one\ntwo');
      await log.group('Inner', () => {
        log.warn('three');
        return Promise.resolve();
      });
    });
    log.info('four');
    expect(screen.text).toBe('Outer\n  one\n  two\n  Inner\n    warning: three\nfour\n');
  });

  test('says more or less as it is told', () => {
    const said = (verbosity: Verbosity): string => {
      const { screen, log } = createScreen({ verbosity });
      log.debug('debug');
      log.info('info');
      log.warn('warn');
      return screen.text;
    };
    expect(said('quiet')).toBe('warning: warn\n');
    expect(said('normal')).toBe('info\nwarning: warn\n');
    expect(said('verbose')).toBe('debug\ninfo\nwarning: warn\n');
  });

  test('never shows a secret', () => {
    const { screen, log } = createScreen();
    log.mask('pa$$word');
    log.mask('pa$$word-and-more');
    log.mask('');
    log.info('it is pa$$word');
    log.error(
      new AppError('internal', 'pa$$word-and-more', { hint: 'pa$$word', details: ['pa$$word'] }),
    );
    expect(screen.text).not.toContain('pa$$');
    expect(screen.text).toMatch(/^it is \*\*\*\nerror: \*\*\*\n {2}\*\*\*\n\*\*\*\n/);
    expect(log.redact('pa$$word!')).toBe('***!');
  });

  test('shows an error with its evidence and what to do, and a single problem once', () => {
    const { screen, log } = createScreen();
    log.error(new AppError('invalid-settings', 'port: no', { details: ['port: no'] }));
    log.error(new AppError('seed-failed', 'no', { hint: 'Do this', details: ['why', 'because'] }));
    expect(screen.text).toBe('error: port: no\nerror: no\n  why\n  because\nDo this\n');
  });
});

describe('progress', () => {
  const label = 'saving data';

  test('has bytes, percent where the total is known, and speed', () => {
    expect(formatProgress({ label, bytes: 120e6, totalBytes: 400e6 }, 500)).toBe(
      'saving data: 120 MB of 400 MB (30 %), 240 MB/s',
    );
    expect(formatProgress({ label, bytes: 1500 }, 0)).toBe('saving data: 1.5 KB');
    expect(formatProgress({ label, bytes: 0, totalBytes: 0 }, 0)).toBe('saving data: 0 B');
  });

  test('rewrites one line of a terminal, not too often, and takes it away before the next message', () => {
    const { screen, log } = createScreen({ isTTY: true });
    for (screen.nowMs = 0; screen.nowMs <= 250; screen.nowMs += 10) {
      log.progress({ label, bytes: screen.nowMs * 1e5, totalBytes: 1e8 });
    }
    const lines = screen.text.split('\r\u001b[K').filter((line) => line !== '');
    expect(lines).toEqual([
      'saving data: 10 MB of 100 MB (10 %), 100 MB/s',
      'saving data: 20 MB of 100 MB (20 %), 100 MB/s',
    ]);
    screen.text = '';
    log.info('done');
    log.close();
    expect(screen.text).toBe('\r\u001b[Kdone\n');
  });

  test('always shows the end of a copy on a terminal, and cuts what would wrap', () => {
    const { screen, log } = createScreen({ isTTY: true });
    log.progress({ label: 'x'.repeat(100), bytes: 7, totalBytes: 7 });
    expect(screen.text).toBe(`\r\u001b[K${'x'.repeat(59)}`);
  });

  test('is a line every five seconds elsewhere, and none for a copy that takes less', () => {
    const { screen, log } = createScreen();
    for (screen.nowMs = 0; screen.nowMs <= 12_000; screen.nowMs += 500) {
      log.progress({ label, bytes: screen.nowMs * 1e3 });
    }
    log.progress({ label: 'short', bytes: 1 });
    screen.nowMs += 4000;
    log.progress({ label: 'short', bytes: 2, totalBytes: 2 });
    expect(screen.text).toBe('saving data: 5.0 MB, 1.0 MB/s\nsaving data: 10 MB, 1.0 MB/s\n');
  });

  test('is nothing where the log is quiet', () => {
    const { screen, log } = createScreen({ isTTY: true, verbosity: 'quiet' });
    log.progress({ label, bytes: 1, totalBytes: 1 });
    expect(screen.text).toBe('');
  });
});
