import type { VolumeBench } from './volume-bench.ts';

/** What is compared of one entry. Names are latin1: a character is a byte. */
export interface TreeEntry {
  /** As find prints it: f, d, l, p, s, ... */
  readonly kind: string;
  readonly mode: string;
  readonly owner: string;
  /** Seconds since the epoch, with all digits that the file system has. */
  readonly time: string;
  /** Of regular files. Those that are very large (and sparse) are not hashed. */
  readonly bytes?: number;
  readonly sha256?: string;
  /** Of symlinks. */
  readonly target?: string;
  /** The first name of the same file, where it has several. */
  readonly sameAs?: string;
}

export type Tree = Readonly<Record<string, TreeEntry>>;

/** name, kind, mode, owner, time, bytes, target, number of links, inode */
const fields = ['p', 'y', 'm', 'U:%G', 'T@', 's', 'l', 'n', 'i'];
type Row = [string, string, string, string, string, string, string, string, string];

/** The tree in a volume, as find and sha256sum see it. */
export async function readTree(bench: VolumeBench, volume: string): Promise<Tree> {
  const output = await bench.run(
    volume,
    `find . -printf '${fields.map((field) => `%${field}\\0`).join('')}'
     printf '\\0'
     find . -type f -size -100M -print0 | xargs -0 --no-run-if-empty sha256sum --zero --binary`,
  );
  const words = output.toString('latin1').split('\0');
  const rows: Row[] = [];
  let at = 0;
  // A cast: find has printed that many fields. No name is empty, so an empty one is the end.
  for (; words[at] !== ''; at += fields.length)
    rows.push(words.slice(at, at + fields.length) as Row);
  const sums = words.slice(at + 1, -1);
  return toTree(rows, new Map(sums.map((line) => [line.slice(66), line.slice(0, 64)])));
}

function toTree(rows: readonly Row[], hashes: ReadonlyMap<string, string>): Tree {
  const firstNames = new Map<string, string>();
  const entries = rows
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, kind, mode, owner, time, size, target, links, inode]): [string, TreeEntry] => {
      const sha256 = hashes.get(name);
      const sameAs = firstNames.get(inode) ?? name;
      firstNames.set(inode, sameAs);
      return [
        name,
        {
          kind,
          mode,
          owner,
          time,
          ...(kind === 'f' && { bytes: Number(size) }),
          ...(sha256 !== undefined && { sha256 }),
          ...(kind === 'l' && { target }),
          ...(kind !== 'd' && links !== '1' && { sameAs }),
        },
      ];
    });
  return Object.fromEntries(entries);
}

/** The tree without what no way keeps (FIFOs, sockets, devices), and what only the exact way does. */
export function kept(tree: Tree, { exact }: { readonly exact: boolean }): Tree {
  const entries = Object.entries(tree)
    .filter(([, { kind }]) => !'psbc'.includes(kind))
    .map(([name, entry]): [string, TreeEntry] => [name, exact ? entry : withoutDetails(entry)]);
  return Object.fromEntries(entries);
}

function withoutDetails(entry: TreeEntry): TreeEntry {
  // Each further name that the engine makes takes the set-id bits away.
  const mode = entry.sameAs === undefined ? 0o7777 : 0o1777;
  return {
    ...entry,
    mode: (Number.parseInt(entry.mode, 8) & mode).toString(8),
    time: entry.time.replace(/\..*$/, ''),
  };
}

/** A script that fills a volume with one of everything that every way keeps. */
export const oneOfEverything = `
umask 077
# Owners, also numbers that do not fit the octal field of a header, up to the largest that there is.
echo small > owner-small; chown 999:998 owner-small
echo large > owner-large; chown 2097152:4294967294 owner-large
mkdir owned; echo inside > owned/inside; chown -R 262144:1000680000 owned

# Modes.
mkdir -m 0700 mode-0700; echo secret > mode-0700/secret
echo x > setuid; chown 1000:1000 setuid; chmod 6755 setuid
mkdir setgid; chown 5:6 setgid; chmod 2775 setgid
mkdir sticky; chmod 1777 sticky
echo x > mode-0000; chmod 0000 mode-0000
mkdir read-only; echo x > read-only/file; chmod 0400 read-only/file; chmod 0555 read-only

# Links.
echo linked > hard-1; chmod 0640 hard-1; mkdir links; ln hard-1 links/hard-2; ln hard-1 links/hard-3
ln -s hard-1 soft; ln -s mode-0700 soft-folder; ln -s nowhere dangling; ln -s /etc/passwd absolute
ln -s ../hard-1 links/up; ln -s "$(printf 'long/%.0s' {1..60})end" soft-long
chown --no-dereference 12:34 soft

# Sizes around a block, holes at the start, in the middle and at the end.
for size in 0 1 511 512 513 10240; do head -c $size /dev/urandom > size-$size; done
truncate --size 12M sparse
for at in 1 5 9; do head -c 5000 /dev/urandom | dd of=sparse bs=1M seek=$at conv=notrunc status=none; done
truncate --size 3M only-a-hole

# Names.
mkdir -p empty/folder
long=$(printf 'n%.0s' {1..250}); echo x > $long
deep=$(printf 'd%.0s' {1..90}); mkdir -p $deep/$deep/$deep; echo x > $deep/$deep/$deep/file
ln $deep/$deep/$deep/file $deep/$deep/link; ln -s $deep/$deep/$deep/file deep-link
for name in 'two  words' ' edges ' -rf --help 'single'\\''quote' 'double"quote' 'back\\slash' '\\n' '*' '?' '[a-z]' '~' '#' '$HOME' '\`id\`' \\
    '%s' 'semi;colon' '&' '|' 'colon:name' '=' Zürich 日本 $'tab\\tname' $'return\\r' $'bell\\a' $'del\\x7f' $'\\x01' $'caf\\xe9' $'\\xff\\xfe' \\
    $'\\x80\\x81\\x82\\x88' ...; do
  printf '%s' "$name" > "./$name"; mkdir -p "in/$name"; echo x > "in/$name/$name"
done

# Times: folders last, for what is made in one changes its time.
touch --date @0 time-0
touch --date '2001-02-03 04:05:06.987654321Z' time-2001 owned mode-0700
touch --date '2099-12-31 23:59:59Z' time-2099
touch --no-dereference --date '2010-01-01Z' soft
touch --date '2002-03-04Z' empty/folder empty in links $deep/$deep read-only
chown 300000:1000680000 .; chmod 3750 .; touch --date '1999-12-31 23:59:59Z' .
`;

/** Further names, for the ways that keep them. */
export const nameWithNewline = `echo x > $'line\\nbreak'; mkdir $'\\n'; echo x > $'\\n/\\n'; touch --date '1999-12-31 23:59:59Z' .`;
