import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';

import type { Faults } from './faults.ts';

/** Passes a blob request on to Azurite and its answer back, with the faults that were asked for. */
export async function proxyBlob(
  azuriteOrigin: string,
  path: string,
  faults: Faults,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? 'GET';
  const isDownload = method === 'GET' || method === 'HEAD';
  const fault = await faults.take(isDownload ? 'download' : 'upload', method);
  if (fault?.kind === 'status') {
    request.resume();
    if (fault.retryAfterSeconds !== undefined) {
      response.setHeader('retry-after', fault.retryAfterSeconds);
    }
    response.writeHead(fault.status, { 'x-ms-error-code': 'FaultAskedFor' });
    response.end();
    return;
  }
  if (fault?.kind === 'reset') {
    request.socket.resetAndDestroy();
    return;
  }

  const upstream = httpRequest(`${azuriteOrigin}${path}`, {
    method,
    headers: { ...request.headers, host: new URL(azuriteOrigin).host },
  });
  const answered = once(upstream, 'response');
  await pipeline(request, upstream);
  const [answer] = (await answered) as [IncomingMessage]; // the event has this one argument

  const status = answer.statusCode ?? 500;
  if (fault === undefined || status >= 300) {
    response.writeHead(status, answer.headers);
    await pipeline(answer, response);
    return;
  }

  const bytes = await buffer(answer);
  if (fault.kind === 'cut') {
    response.writeHead(status, answer.headers);
    // Only when these bytes have gone out may the connection end, or the client would see none of them.
    await new Promise<void>((sent) => {
      response.write(bytes.subarray(0, fault.afterBytes), () => {
        sent();
      });
    });
    request.socket.destroy();
    return;
  }
  if (fault.kind === 'stall') {
    response.writeHead(status, answer.headers);
    response.write(bytes.subarray(0, fault.afterBytes), fault.onStall);
    await fault.released;
    response.end(bytes.subarray(fault.afterBytes));
    return;
  }
  if (fault.kind === 'flip') {
    const first = Number(/^bytes (\d+)-/.exec(answer.headers['content-range'] ?? '')?.[1] ?? 0);
    const at = fault.offset - first;
    if (at >= 0 && at < bytes.length) bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  }
  const body = fault.kind === 'shorten' ? bytes.subarray(0, fault.toBytes) : bytes;
  response.writeHead(status, { ...answer.headers, 'content-length': body.length });
  response.end(body);
}
