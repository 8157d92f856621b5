import { parseSettings, type RawInputs, type Settings } from '../../src/settings.ts';

/** Valid settings; a test states only what matters to it. */
export function makeSettings(raw: RawInputs = {}): Settings {
  return parseSettings({ image: 'postgres:17', ...raw }, { defaultStore: 'file:/nowhere' });
}
