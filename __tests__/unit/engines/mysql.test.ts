import { describe, expect, test } from '@jest/globals';

import { mariadb, mysql } from '../../../src/engines/mysql.ts';
import { matcherOf } from '../../../src/runtime/path-pattern.ts';
import { dataReaderOf, dataState, endpoint } from '../../support/engines.ts';
import { officialImage } from '../../support/official-images.ts';

const history = `{"file_format":"1","upgrade_history":[
  {"date":"2026-01-01","version":"8.4.5","maturity":"LTS","initialize":true},
  {"date":"2026-02-02","version":"9.7.1","maturity":"LTS"}]}`;
const mysqlFolder = { 'mysql.ibd': 'x', ibdata1: 'x', mysql_upgrade_history: history };
const mariadbFolder = {
  aria_log_control: 'x',
  ibdata1: 'x',
  mariadb_upgrade_info: '11.8.2-MariaDB',
};

describe.each([
  [mysql, mysqlFolder, { version: '9.7.1', mark: 'InnoDB: no ibtmp1' }],
  [mariadb, mariadbFolder, { version: '11.8.2', mark: 'InnoDB: no ibtmp1' }],
])('$id', (engine, folder, clean) => {
  test('reads the version and the mark of a clean shutdown from the data folder', async () => {
    expect(await dataState(engine, folder)).toEqual(clean);
  });

  test('leaves out spare and temporary files, and no other', async () => {
    const isLeftOut = matcherOf((await engine.worthless?.(dataReaderOf(folder))) ?? []);
    const notes = ['db-1.pid', 'mysqlx.sock.lock'];
    const spare = ['#innodb_redo/#ib_redo12_tmp', '#innodb_temp/temp_10.ibt', ...notes];
    const files = ['#innodb_redo/#ib_redo5', 'ibdata1', 'shop/x.pid', 'undo_001', 'binlog.000001'];
    const logs = ['aria_log.00000001', 'ib_logfile0', '#ib_16384_0.dblwr'];
    const expected = engine.id === 'mysql' ? spare : notes;
    expect([...spare, ...files, ...logs].filter(isLeftOut)).toEqual(expected);
  });

  test('tells a server that was killed by what it left', async () => {
    const state = await dataState(engine, { ...folder, ibtmp1: '' });
    expect(state.unclean).toContain('ibtmp1 is still there');
  });

  test('finds nothing to save in an empty volume', async () => {
    expect((await dataState(engine, {})).unusable).toContain('empty snapshot');
  });

  test('finds its data and its version in the official image', () => {
    const image = officialImage(engine.id);
    expect(engine.location(image, {}).mountPath).toBe('/var/lib/mysql');
    expect(engine.imageVersion(image)).toMatch(/^\d+\.\d+\.\d+$/);
  });

  test('asks over TCP as the user, in the database, with the password in no argument', () => {
    const { command, env } = engine.readiness(endpoint);
    expect(command).toEqual(
      expect.arrayContaining([
        '--protocol=tcp',
        '--host=127.0.0.1',
        '--user=a@b',
        '--database=shop db',
      ]),
    );
    expect(command.join(' ')).not.toContain('p/w:d');
    expect(env).toEqual({ MYSQL_PWD: 'p/w:d' });
  });

  test('writes a URL that survives odd characters, and the variables of its clients', () => {
    expect(engine.url(endpoint)).toBe('mysql://a%40b:p%2Fw%3Ad@127.0.0.1:5433/shop%20db');
    expect(engine.clientEnv(endpoint)).toEqual({
      MYSQL_HOST: '127.0.0.1',
      MYSQL_TCP_PORT: '5433',
      MYSQL_PWD: 'p/w:d',
    });
  });
});

test('each family refuses the data folder of the other, and names the engine that reads it', async () => {
  expect(await dataState(mysql, mariadbFolder)).toMatchObject({
    unusable: 'the data folder is one of MariaDB, which MySQL cannot read: set "engine" to mariadb',
  });
  expect(await dataState(mariadb, mysqlFolder)).toMatchObject({
    unusable: 'the data folder is one of MySQL, which MariaDB cannot read: set "engine" to mysql',
  });
});

test('the root user is not made a second time', () => {
  expect(mysql.containerEnv({ user: 'root', password: 'x', database: 'shop' })).toEqual({
    MYSQL_ROOT_PASSWORD: 'x',
    MYSQL_DATABASE: 'shop',
  });
  expect(mariadb.containerEnv({ user: 'app', password: 'x', database: 'shop' })).toEqual({
    MARIADB_ROOT_PASSWORD: 'x',
    MARIADB_DATABASE: 'shop',
    MARIADB_USER: 'app',
    MARIADB_PASSWORD: 'x',
    MARIADB_AUTO_UPGRADE: '1',
  });
});

test.each([
  ['8.4.5', '8.4.9'],
  ['8.0.36', '8.4.0'],
  ['8.4.5', '9.7.0'],
  ['9.1.0', '9.7.0'],
  ['5.7.44', '8.0.36'],
])('MySQL upgrades data of %s to %s', (data, image) => {
  expect(mysql.versionProblem(data, image)).toBeUndefined();
});

test.each([
  ['8.0.36', '9.7.0', /cannot upgrade in one step/],
  ['8.2.0', '9.7.0', /cannot upgrade in one step/],
  ['5.7.44', '8.4.0', /cannot upgrade in one step/],
  ['9.7.0', '8.4.5', /no downgrade/],
  ['8.4.5', '8.0.36', /no downgrade/],
])('MySQL does not take data of %s to %s', (data, image, reason) => {
  expect(mysql.versionProblem(data, image)).toMatch(reason);
});

test('MariaDB upgrades all that is older, and refuses what is newer', () => {
  expect(mariadb.versionProblem('10.11.6', '11.8.2')).toBeUndefined();
  expect(mariadb.versionProblem('11.8.2', '10.11.6')).toMatch(/no downgrade/);
});
