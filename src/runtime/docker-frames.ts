/**
 * Output of a container without a terminal comes in frames: a byte for the stream, three zeros, a length, the text.
 * https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
 * That of a container with a terminal (`docker run --tty`) is the text itself.
 */
export function unframe(framed: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  while (at + 8 <= framed.length) {
    if (framed.readUInt32BE(at) % 0x1000000 !== 0)
      return Buffer.concat([...parts, framed.subarray(at)]);
    const end = at + 8 + framed.readUInt32BE(at + 4);
    parts.push(framed.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(parts);
}

/** Lines of a text, without the empty one after its last newline and without carriage returns. */
export function linesOf(text: string): string[] {
  const lines = text.replaceAll('\r', '').split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}
