/** A header block, by hand. Names are latin1. */
export function tarHeader(fields: {
  readonly name: string;
  readonly type?: string;
  readonly size?: number | Buffer;
  readonly linkName?: string;
  readonly prefix?: string;
  readonly magic?: string;
  readonly mode?: string;
  /** Of at most seven octal digits. */
  readonly owners?: readonly [number, number];
  /** At the very end, where star has a mark of its own. */
  readonly end?: string;
}): Buffer {
  const { name, type = '0', size = 0, linkName = '', prefix = '', magic = 'ustar\0' } = fields;
  const { mode = '0000644', owners = [0, 0], end = '' } = fields;
  const block = Buffer.alloc(512);
  block.write(name, 0, 100, 'latin1');
  block.write(`${mode}\0`, 100);
  owners.forEach((id, i) => block.write(`${id.toString(8).padStart(7, '0')}\0`, 108 + i * 8));
  if (typeof size === 'number') block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  else size.copy(block, 124);
  block.write('00000000000\0', 136);
  block.write(type, 156);
  block.write(linkName, 157, 100, 'latin1');
  block.write(magic, 257, 'latin1');
  block.write(prefix, 345, 155, 'latin1');
  block.write(end, 512 - end.length, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Content, padded to whole blocks. */
export function tarContent(content: string | Buffer): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content, 'latin1') : content;
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** An entry with its content. */
export function tarEntry(name: string, content: string | Buffer, type = '0'): Buffer {
  const size = typeof content === 'string' ? Buffer.byteLength(content, 'latin1') : content.length;
  return Buffer.concat([tarHeader({ name, type, size }), tarContent(content)]);
}

/** An extended header for the entry that follows. */
export function paxEntry(records: Readonly<Record<string, string>>, type = 'x'): Buffer {
  const lines = Object.entries(records).map(([key, value]) => {
    const rest = Buffer.byteLength(` ${key}=${value}\n`, 'latin1');
    // The length counts its own digits.
    const length = [1, 2, 3, 4, 5]
      .map((digits) => rest + digits)
      .find((n, i) => String(n).length === i + 1);
    return `${length ?? 0} ${key}=${value}\n`;
  });
  return tarEntry('PaxHeaders/x', lines.join(''), type);
}

export const tarEnd = Buffer.alloc(1024);
