import fc from 'fast-check';

/** Owner, mode and time of anything. */
interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: string;
}

type Node = { readonly attributes: Attributes; readonly name: string } & (
  | { readonly kind: 'file'; readonly sizeBytes: number; readonly data: readonly Data[] }
  | { readonly kind: 'folder'; readonly children: readonly Node[] }
  | { readonly kind: 'symlink'; readonly target: string }
  /** A further name of one of the files before it. */
  | { readonly kind: 'link'; readonly to: number }
  | { readonly kind: 'fifo' }
);

/** Some bytes in a file that is a hole elsewhere. */
interface Data {
  readonly at: number;
  readonly lengthBytes: number;
  readonly number: number;
}

/** The root folder of a volume, and what is in it. */
export interface RandomTree {
  readonly attributes: Attributes;
  readonly children: readonly Node[];
}

/** Names are bytes, as one character each: anything but zero and the slash. */
const nameByte = fc.integer({ min: 1, max: 255 }).filter((byte) => byte !== 0x2f);
const nameLength = fc.oneof({ weight: 9, arbitrary: fc.constant(12) }, fc.constant(255));
const name = nameLength
  .chain((maxLength) => fc.array(nameByte, { minLength: maxLength === 255 ? 90 : 1, maxLength }))
  .map((bytes) => String.fromCharCode(...bytes))
  .filter((text) => text !== '.' && text !== '..');

const id = fc.oneof(
  fc.constantFrom(0, 999, 2_097_151, 2_097_152, 16_777_216, 4_294_967_294),
  fc.nat(100_000),
);

const attributes: fc.Arbitrary<Attributes> = fc.record({
  mode: fc.integer({ min: 0, max: 0o7777 }),
  uid: id,
  gid: id,
  time: fc
    .tuple(fc.nat(2 ** 32), fc.nat(999_999_999))
    .map(([seconds, nanos]) => `${seconds}.${String(nanos).padStart(9, '0')}`),
});

const data: fc.Arbitrary<Data> = fc.record({
  at: fc.nat(300_000),
  lengthBytes: fc.integer({ min: 1, max: 9_000 }),
  number: fc.nat(9),
});

const { node } = fc.letrec<{ node: Node; children: Node[] }>((tie) => ({
  children: fc.uniqueArray(tie('node'), { maxLength: 4, selector: (child) => child.name }),
  node: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.record({
      kind: fc.constant('file'),
      name,
      attributes,
      sizeBytes: fc.oneof(fc.nat(1100), fc.nat(400_000)),
      data: fc.array(data, { maxLength: 3 }),
    }),
    fc.record({ kind: fc.constant('symlink'), name, attributes, target: name }),
    fc.record({ kind: fc.constant('link'), name, attributes, to: fc.nat(20) }),
    fc.record({ kind: fc.constant('fifo'), name, attributes }),
    fc.record({ kind: fc.constant('folder'), name, attributes, children: tie('children') }),
    fc.record({ kind: fc.constant('folder'), name, attributes, children: tie('children') }),
  ),
}));

export const randomTree: fc.Arbitrary<RandomTree> = fc.record({
  attributes,
  children: fc.uniqueArray(node, { minLength: 1, maxLength: 8, selector: (child) => child.name }),
});

/** A bash script, in ASCII, that makes the tree in the current folder. */
export function scriptFor(tree: RandomTree): string {
  const files: string[] = [];
  const make: string[] = [];
  // After everything is made, deepest first: what is made in a folder changes its time.
  const dress: string[] = [];

  const visit = (folder: string, nodes: readonly Node[]): void => {
    for (const node of nodes) {
      const plain = `${folder}/${node.name}`;
      const path = quoted(plain);
      switch (node.kind) {
        case 'folder':
          make.push(`mkdir ${path}`);
          visit(plain, node.children);
          break;
        case 'file':
          make.push(`truncate --size ${node.sizeBytes} ${path}`, ...node.data.map(write(path)));
          files.push(path);
          break;
        case 'link': {
          const file = files[node.to % files.length];
          make.push(file === undefined ? `: > ${path}` : `ln ${file} ${path}`);
          break;
        }
        case 'symlink':
          make.push(`ln -s -- ${quoted(node.target)} ${path}`);
          break;
        case 'fifo':
          make.push(`mkfifo ${path}`);
          break;
      }
      dress.push(attire(path, node.attributes, node.kind === 'symlink'));
    }
  };
  visit('.', tree.children);
  return [...make, ...dress, attire('.', tree.attributes, false)].join('\n');
}

function write(path: string): (data: Data) => string {
  return ({ at, lengthBytes, number }) =>
    `printf '%0${lengthBytes}d' ${number} | dd of=${path} oflag=seek_bytes seek=${at} conv=notrunc status=none`;
}

function attire(path: string, { mode, uid, gid, time }: Attributes, isSymlink: boolean): string {
  return [
    `chown --no-dereference ${uid}:${gid} ${path}`,
    // In octal with five digits, as chmod keeps the setgid of a folder otherwise.
    ...(isSymlink ? [] : [`chmod 0${mode.toString(8).padStart(4, '0')} ${path}`]),
    `touch --no-dereference --date @${time} ${path}`,
  ].join('; ');
}

function quoted(text: string): string {
  return `$'${Buffer.from(text, 'latin1').toString('hex').replace(/../g, '\\x$&')}'`;
}
