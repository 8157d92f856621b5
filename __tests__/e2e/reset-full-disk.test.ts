import { expect, test } from '@jest/globals';

import { runCli, useNames } from '../support/cli.ts';
import { docker } from '../support/docker-cli.ts';
import { testImage } from '../support/images.ts';
import { useOwnEngine } from '../support/own-engine.ts';
import { checksum, isCleanStart, query, seedScript } from '../support/postgres.ts';
import { mountXfsDisk } from '../support/xfs-disk.ts';

const engine = useOwnEngine('1500m', ['postgres:17'], mountXfsDisk);
const newName = useNames('reset-full');
const mb = 1_000_000;

test.each(['overlay', 'reflink', 'copy'])(
  'with %s, a database that has filled its disk and was killed is put back',
  async (how) => {
    const name = newName();
    const settings = ['--reset', how, '--port', '0', '--save', 'false', '--store', 'file:/nowhere'];
    const image = ['--image', testImage('postgres:17'), '--seed', seedScript];
    const started = await runCli(['start', name, '--json', ...image, ...settings]);
    expect(started).toMatchObject({ exitCode: 0 });
    // A cast: of our own tool.
    const { container } = JSON.parse(started.stdout) as { readonly container: string };
    const pristine = await checksum(container);
    {
      using room = new DisposableStack();
      room.use(await engine().leaveOnly(50 * mb));
      const more =
        'insert into item select n, repeat(md5(n::text), 9) from generate_series(1e6, 2e6) n';
      await expect(query(container, more)).rejects.toThrow('No space left on device');
      await docker('kill', container);
      // What it has written is all that an overlay takes. The others need a little room to begin with.
      if (how === 'overlay') expect(await runCli(['reset', name])).toMatchObject({ exitCode: 0 });
    }
    if (how !== 'overlay') expect(await runCli(['reset', name])).toMatchObject({ exitCode: 0 });
    expect(await checksum(container)).toBe(pristine);
    expect(await isCleanStart(container)).toBe(true);
    expect(await runCli(['stop', name])).toMatchObject({ exitCode: 0 });
  },
);
