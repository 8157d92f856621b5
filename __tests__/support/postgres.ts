import { containerLog, docker } from './docker-cli.ts';
import { testImage } from './images.ts';

const plain = ['--no-psqlrc', '--quiet', '--tuples-only', '--no-align'];

/** Rows enough for several pages and an index of some levels; quick to make. */
export const rowCount = 20_000;

/** A script for `seed`: the SQL is run by the psql that is in the database's own container. */
export function sqlScript(sql: string): string {
  return `docker exec --interactive "$SNAPVOL_CONTAINER" psql --username "$PGUSER" --dbname "$PGDATABASE" \\
    ${plain.join(' ')} --set ON_ERROR_STOP=1 <<'SQL'
${sql}
SQL`;
}

export const seedScript = `echo "seeding on port $SNAPVOL_PORT"
${sqlScript(`create table item (id int primary key, name text not null);
insert into item select n, md5(n::text) from generate_series(1, ${rowCount}) n;`)}`;

/** What psql in the container prints. */
export function query(
  container: string,
  sql: string,
  { user, database } = { user: 'postgres', database: 'postgres' },
): Promise<string> {
  const psql = ['psql', '--username', user, '--dbname', database, ...plain, '--command', sql];
  return docker('exec', container, ...psql);
}

/** One sum over all rows in order. */
export function checksum(container: string): Promise<string> {
  return query(container, "select md5(string_agg(id || ':' || name, ',' order by id)) from item");
}

/** The server found a database at its last start, and found it as one leaves it that was stopped in good order. */
export async function isCleanStart(container: string): Promise<boolean> {
  const log = await containerLog(container);
  const last = log.slice(log.lastIndexOf('starting PostgreSQL'));
  return (
    log.includes('Skipping initialization') &&
    last.includes('database system was shut down at') &&
    !/not properly shut down|recovery/.test(last)
  );
}

/** What psql outside of the container prints: in this network, through nothing but the URL. */
export function queryUrl(url: string, sql: string, network = 'host'): Promise<string> {
  const psql = ['psql', url, ...plain, '--command', sql];
  return docker('run', '--rm', '--network', network, testImage('postgres:17'), ...psql);
}
