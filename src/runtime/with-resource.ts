/**
 * Runs `work` with a resource that is disposed of afterwards. As `await using` does, but where both fail, the error of
 * `work` is thrown as it is: it tells more than the disposal that failed after it.
 */
export async function withResource<R extends AsyncDisposable, T>(
  resource: R,
  work: (resource: R) => Promise<T>,
): Promise<T> {
  let result: T;
  try {
    result = await work(resource);
  } catch (error) {
    await Promise.allSettled([resource[Symbol.asyncDispose]()]);
    throw error;
  }
  await resource[Symbol.asyncDispose]();
  return result;
}
