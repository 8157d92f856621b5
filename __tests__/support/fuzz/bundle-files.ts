import { createHash } from 'node:crypto';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { encodeManifest } from '../../../src/snapshot/manifest-json.ts';
import type { Manifest } from '../../../src/snapshot/manifest.ts';
import { makeManifest, makeVolumesManifest } from '../manifests.ts';
import { paxEntry, tarEnd, tarEntry, tarHeader } from '../tar-bytes.ts';

/** A bundle in memory: its files by their names. */
export type BundleFiles = ReadonlyMap<string, Buffer>;

const longName = `./${'long/'.repeat(30)}name`;

/** With something of everything that an archive may have. */
const sample = Buffer.concat([
  tarHeader({ name: './', type: '5' }),
  tarEntry('./file', 'content'),
  tarEntry('./blocks', 'b'.repeat(1500)),
  tarHeader({ name: './folder/', type: '5' }),
  tarHeader({ name: './folder/again', type: '1', linkName: './file' }),
  tarHeader({ name: './folder/link', type: '2', linkName: '../file' }),
  tarEntry('././@LongLink', `${longName}\0`, 'L'),
  tarEntry(longName.slice(0, 100), 'long'),
  tarEntry('././@LongLink', `${longName}\0`, 'K'),
  tarHeader({ name: './second', type: '1', linkName: longName.slice(0, 100) }),
  paxEntry({ path: `${longName}-too`, mtime: '1.5', 'SCHILY.xattr.user.a': 'b' }),
  tarEntry('./short', 'pax'),
  paxEntry({
    'GNU.sparse.major': '1',
    'GNU.sparse.minor': '0',
    'GNU.sparse.name': './holes',
    'GNU.sparse.realsize': '5000',
  }),
  tarEntry('./GNUSparseFile.0/holes', `1\n0\n3\n`.padEnd(512, '\0') + 'abc'),
  paxEntry({ 'GNU.sparse.size': '900', 'GNU.sparse.map': '0,3' }),
  tarEntry('./old-holes', 'abc'),
  tarHeader({ name: 'old', magic: 'ustar  \0' }),
  tarEnd,
]);
const sampleEntries = 12;
const small = Buffer.concat([tarHeader({ name: './', type: '5' }), tarEnd]);

/** Whole bundles: of both kinds, compressed and not, with one volume and with two. */
export function validBundles(): readonly BundleFiles[] {
  const [volume] = makeManifest().volumes;
  const [kept] = makeVolumesManifest().volumes;
  if (!volume || !kept) throw new Error('the samples have a volume');
  const archives = new Map([
    ['data.tar', sample],
    ['data.tar.zst', zstdCompressSync(sample)],
    ['more.tar', small],
  ]);
  const plain = { archive: 'data.tar', compression: 'none', entries: sampleEntries } as const;
  const packed = { archive: 'data.tar.zst', compression: 'zstd', entries: sampleEntries } as const;
  const manifests: readonly Manifest[] = [
    makeManifest({ volumes: [{ ...volume, ...plain }] }),
    makeManifest({ volumes: [{ ...volume, ...packed }] }),
    makeVolumesManifest({
      volumes: [
        { ...kept, ...packed },
        { ...kept, name: 'more', archive: 'more.tar', compression: 'none', entries: 1 },
      ],
    }),
  ];
  return manifests.map((manifest) => {
    const files = new Map(
      manifest.volumes.map(({ archive }) => [archive, archives.get(archive) ?? small]),
    );
    return withSums(files, withDigests(files, manifest));
  });
}

/** The manifest with what its archives have turned out to be. */
export function withDigests(files: BundleFiles, manifest: Manifest): Manifest {
  const volumes = manifest.volumes.map((volume) => {
    const bytes = files.get(volume.archive) ?? Buffer.alloc(0);
    const tarBytes = tarOf(volume.archive, bytes)?.length ?? volume.tarBytes;
    return { ...volume, archiveBytes: bytes.length, sha256: sha256(bytes), tarBytes };
  });
  // A cast: each kind of manifest has got its own volumes back.
  return { ...manifest, volumes } as Manifest;
}

export function withSums(files: BundleFiles, manifest: Manifest): BundleFiles {
  return withManifestText(files, encodeManifest(manifest));
}

/** Whatever the text is, SHA256SUMS goes with it. */
export function withManifestText(files: BundleFiles, text: string): BundleFiles {
  const archives = [...files].filter(([name]) => /\.tar/.test(name));
  const lines = [
    `${sha256(Buffer.from(text))}  manifest.json\n`,
    ...archives.map(([name, bytes]) => `${sha256(bytes)}  ${name}\n`),
  ];
  return new Map([
    ...archives,
    ['manifest.json', Buffer.from(text)] as const,
    ['SHA256SUMS', Buffer.from(lines.join(''))] as const,
  ]);
}

/** The tar stream of an archive; `undefined` where it does not decompress. */
export function tarOf(archive: string, bytes: Buffer): Buffer | undefined {
  if (!archive.endsWith('.zst')) return bytes;
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: 2 ** 24 });
  } catch {
    return undefined;
  }
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
