import type { Readable, Writable } from 'node:stream';

import { AppError } from '../errors.ts';
import { atHome } from '../paths.ts';
import { plainFormats, type PlainFormat } from '../runtime/plain-archiver.ts';
import type { CopySettings } from '../settings.ts';
import type { ExportRequest } from '../usecases/export.ts';
import type { ImportRequest, VolumeChoice } from '../usecases/import.ts';
import type { Given } from './args.ts';

/** A stream that may be a terminal. */
type Terminal<T> = T & { readonly isTTY?: boolean };

/** @throws `invalid-settings` */
export function importRequest(
  { argument, values }: Given,
  { key, compression }: CopySettings,
  stdin: Terminal<Readable>,
  home: string | undefined,
): Omit<ImportRequest, 'provenance'> {
  if (argument === '-' && stdin.isTTY === true) {
    throw new AppError('invalid-settings', 'the standard input is a terminal, not an archive');
  }
  return {
    from: argument === '-' ? { stream: stdin } : { file: atHome(argument, home) },
    key,
    name: values['name'],
    volumes: volumeChoices(values),
    mountPath: values['mount-path'],
    image: values['image'],
    compression,
  };
}

/** `--volume NAME` or `NAME=PREFIX`; a prefix that is not given there is that of `--strip`. */
function volumeChoices(values: Given['values']): ImportRequest['volumes'] {
  const { strip } = values;
  const folder = strippedFolder(strip);
  const [first = { volume: undefined, folder }, ...others] = (
    values['volume']?.split('\n') ?? []
  ).map((text): VolumeChoice => {
    const at = text.indexOf('=');
    if (at === -1) return { volume: text, folder };
    if (strip === undefined) return { volume: text.slice(0, at), folder: text.slice(at + 1) };
    throw new AppError('invalid-settings', `--strip ${strip} and --volume ${text} say two things`, {
      hint: 'Give either',
    });
  });
  return [first, ...others];
}

function strippedFolder(strip = 'auto'): string | undefined {
  if (strip === 'auto') return undefined;
  return strip === 'none' ? '' : strip;
}

/** @throws `invalid-settings` */
export function exportRequest(
  { argument, values }: Given,
  stdout: Terminal<Writable>,
  home: string | undefined,
): ExportRequest {
  const { volume, prefix, output, format, force } = values;
  const toStdout = output === '-';
  if (toStdout && values['json'] === 'true') {
    throw new AppError('invalid-settings', 'the standard output cannot be the archive and --json');
  }
  if (toStdout && stdout.isTTY === true) {
    throw new AppError(
      'invalid-settings',
      'the standard output is a terminal: an archive would spoil it',
      {
        hint: 'Name a file with --output, or send it to another program',
      },
    );
  }
  return {
    key: argument,
    volume,
    prefix,
    output: toStdout
      ? { kind: 'stream', stream: stdout }
      : {
          kind: 'file',
          file: output === undefined ? undefined : atHome(output, home),
          replace: force === 'true',
        },
    format: format === undefined ? undefined : formatNamed(format),
  };
}

function formatNamed(text: string): PlainFormat {
  const found = plainFormats.find((format) => format === text);
  if (found !== undefined) return found;
  throw new AppError(
    'invalid-settings',
    `--format: "${text}" is not one of ${plainFormats.join(', ')}`,
  );
}
