import { resolve } from 'node:path';

import { atHome } from './paths.ts';
import { readAcceptance, readCopySettings, type CopySettings } from './settings.ts';
import { invalidSettings, readerOf } from './settings-reader.ts';
import type { SettingsContext } from './store-settings.ts';
import type { Acceptance } from './snapshot/acceptance.ts';
import {
  databaseName,
  keyLines,
  keyText,
  lines,
  oneOf,
  storageBytes,
  text,
  trueOrFalse,
} from './setting-values.ts';
import { defaultMaxBytes } from './snapshot/max-size.ts';

// The inputs of the sub-actions save/ and restore/, and of the commands of the same names.

const copyInputs = ['key', 'store', 'store-timeout', 'copy'] as const;

export const saveInputNames = [
  ...copyInputs,
  'name',
  'volumes',
  'container',
  'compose-project',
  'include-binds',
  'overwrite',
  'save',
  'image',
  'user',
  'password',
  'database',
  'quiesce',
  'before-copy',
  'after-copy',
  'working-directory',
  'trim',
  'allow-unclean',
  'compression',
  'stop-timeout',
  'wait-timeout',
  'retention-days',
  'encrypt-to',
  'fail-on-save-error',
] as const;

export const restoreInputNames = [
  ...copyInputs,
  'restore-keys',
  'rename',
  'volume',
  'include-binds',
  'overwrite',
  'image',
  'fail-on-miss',
  'expect-digest',
  'require-provenance',
  'lookup-only',
  'max-size',
] as const;

type Raw = Readonly<Partial<Record<string, string>>>;

export interface VolumeSettingsContext extends SettingsContext {
  /** Relative folders are below it. */
  readonly cwd: string;
}

export interface SaveSettings {
  readonly copy: CopySettings;
  /** Of the snapshot; without sources the name of a database that was started. */
  readonly name: string | undefined;
  readonly volumes: readonly string[];
  readonly container: string | undefined;
  readonly composeProject: string | undefined;
  readonly includeBinds: boolean;
  readonly overwrite: boolean;
  readonly save: 'auto' | 'true' | 'false';
  readonly image: string | undefined;
  readonly login: {
    readonly user?: string;
    readonly password?: string;
    readonly database?: string;
  };
  /** Names of containers, or services of compose, whose exit code does not count. */
  readonly allowUnclean: readonly string[];
  readonly failOnSaveError: boolean;
}

export interface RestoreSettings {
  readonly copy: CopySettings;
  readonly restoreKeys: readonly string[];
  readonly rename: Readonly<Record<string, string>>;
  readonly volume: string | undefined;
  readonly includeBinds: boolean;
  readonly overwrite: boolean;
  readonly image: string | undefined;
  readonly failOnMiss: boolean;
  readonly acceptance: Acceptance;
  readonly lookupOnly: boolean;
  /** As in `Settings`. */
  readonly maxBytes: number;
}

/** @throws `invalid-settings` with a line per problem in `details` */
export function parseSaveSettings(raw: Raw, context: VolumeSettingsContext): SaveSettings {
  const reader = readerOf(raw);
  const { read, problems } = reader;
  const login = {
    user: read('user', text, undefined),
    password: read('password', text, undefined),
    database: read('database', text, undefined),
  };
  const settings = {
    copy: readCopySettings(reader, context),
    volumes: read('volumes', (value) => lines(value).map((each) => storageName(each, context)), []),
    container: read('container', text, undefined),
    composeProject: read('compose-project', text, undefined),
    includeBinds: read('include-binds', trueOrFalse, false),
    overwrite: read('overwrite', trueOrFalse, false),
    save: read('save', oneOf(['auto', 'true', 'false']), 'auto'),
    image: read('image', text, undefined),
    login: given(login),
    allowUnclean: read('allow-unclean', lines, []),
    failOnSaveError: read('fail-on-save-error', trueOrFalse, false),
  };
  const name = read('name', hasSources(settings) ? keyText : databaseName, undefined);
  if (!hasSources(settings)) {
    if (name === undefined) {
      problems.push(
        'nothing to save: give "volumes", "container" or "compose-project", or the "name" of a database that was started',
      );
    }
    if (settings.includeBinds)
      problems.push('include-binds: goes with "container" or "compose-project"');
    if (settings.allowUnclean.length > 0)
      problems.push('allow-unclean: goes with "volumes", "container" or "compose-project"');
  }
  if (settings.copy.quiesce !== 'stop' && settings.allowUnclean.length > 0)
    problems.push('allow-unclean: goes with "quiesce" stop, which alone asks for exit codes');
  if (problems.length > 0) throw invalidSettings(problems);
  return { ...settings, name };
}

/** True when volumes are to be saved, false for a database that was started by name. */
export function hasSources({
  volumes,
  container,
  composeProject,
}: Pick<SaveSettings, 'volumes' | 'container' | 'composeProject'>): boolean {
  return volumes.length > 0 || container !== undefined || composeProject !== undefined;
}

/** @throws `invalid-settings` with a line per problem in `details` */
export function parseRestoreSettings(raw: Raw, context: VolumeSettingsContext): RestoreSettings {
  const reader = readerOf(raw);
  const { read, problems } = reader;
  const settings = {
    copy: readCopySettings(reader, context),
    restoreKeys: read('restore-keys', keyLines, []),
    rename: read('rename', (value) => renames(value, context), {}),
    volume: read('volume', (value) => storageName(value, context), undefined),
    includeBinds: read('include-binds', trueOrFalse, false),
    overwrite: read('overwrite', trueOrFalse, false),
    image: read('image', text, undefined),
    failOnMiss: read('fail-on-miss', trueOrFalse, false),
    acceptance: readAcceptance(reader),
    lookupOnly: read('lookup-only', trueOrFalse, false),
    maxBytes: read('max-size', storageBytes, defaultMaxBytes),
  };
  const { digest, provenance } = settings.acceptance;
  if (settings.lookupOnly && (digest !== undefined || provenance.length > 0)) {
    problems.push(
      'lookup-only: looks into no snapshot: "expect-digest" and "require-provenance" would not be asked',
    );
  }
  if (problems.length > 0) throw invalidSettings(problems);
  return settings;
}

/** `OLD=NEW`, one a line. The last `=` counts: paths may have more of them in front. */
function renames(value: string, context: VolumeSettingsContext): Record<string, string> {
  const pairs = lines(value).map((line) => {
    const at = line.lastIndexOf('=');
    const [from, to] = [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    if (at < 1 || from === '' || to === '') throw new Error(`"${line}" is not OLD=NEW`);
    return [from, storageName(to, context)] as const;
  });
  const twice = pairs.find(([from], i) => pairs.findIndex(([other]) => other === from) !== i);
  if (twice) throw new Error(`"${twice[0]}" is given twice`);
  return Object.fromEntries(pairs);
}

/** A volume's name as it is; a folder, which has a slash, a dot or `~` in front, as an absolute path. */
function storageName(value: string, { cwd, home }: VolumeSettingsContext): string {
  return /^(\/|\.{1,2}(\/|$)|~)/.test(value) ? resolve(cwd, atHome(value, home)) : value;
}

/** Without what is not given. */
function given(values: Readonly<Record<string, string | undefined>>): SaveSettings['login'] {
  return Object.fromEntries(
    Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** What the use cases are asked for. Without a name of its own a snapshot is called after what it is made of. */
export function saveRequest(settings: SaveSettings) {
  const { copy, name, volumes, container, composeProject, login } = settings;
  const { includeBinds, overwrite, image, allowUnclean } = settings;
  const [volume = ''] = volumes;
  return {
    ...{ volumes, container, composeProject, login, includeBinds, overwrite, image },
    allowUnclean,
    name: name ?? composeProject ?? container ?? (volume.replace(/^.*\//, '') || 'root'),
    settings: copy,
  };
}
