import type { Endpoint, ReadDataFile } from '../../src/engines/engine.ts';

/** With characters that a URL or a shell would take for its own. */
export const endpoint: Endpoint = {
  host: '127.0.0.1',
  port: 5433,
  user: 'a@b',
  password: 'p/w:d',
  database: 'shop db',
};

/** A data folder of these files. */
export function dataFolder(files: Readonly<Record<string, Buffer | string>>): ReadDataFile {
  return (path) => {
    const content = files[path];
    return Promise.resolve(content === undefined ? undefined : Buffer.from(content));
  };
}
