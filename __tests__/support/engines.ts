import type { DataState, Endpoint, Engine, ReadDataFile } from '../../src/engines/engine.ts';
import { chooseEngine } from '../../src/engines/index.ts';

/** As a user gets it who tells no more than this of it. */
export function engineNamed(id: string | undefined, image?: string): Engine {
  const nothing = { dataPath: undefined, port: undefined, readyCommand: undefined, url: undefined };
  return chooseEngine(id, image, nothing);
}

/** With characters that a URL or a shell would take for its own. */
export const endpoint: Endpoint = {
  host: '127.0.0.1',
  port: 5433,
  user: 'a@b',
  password: 'p/w:d',
  database: 'shop db',
};

export function dataReaderOf(files: Readonly<Record<string, Buffer | string>>): ReadDataFile {
  return (path) => {
    const content = files[path];
    return Promise.resolve(content === undefined ? undefined : Buffer.from(content));
  };
}

/** What the engine says of a data folder of these files, made with its default login. */
export function dataState(
  engine: Engine,
  files: Readonly<Record<string, Buffer | string>>,
): Promise<DataState> {
  return engine.dataState(dataReaderOf(files), engine.defaults);
}
