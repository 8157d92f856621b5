// To be imported for what it does. jest gives tests a realm of their own, in which an error of Node's core (a failed
// read, a refused connection) is no `instanceof Error`. Outside of jest it is one.
const ordinary = Function.prototype[Symbol.hasInstance];

Object.defineProperty(Error, Symbol.hasInstance, {
  value(this: unknown, thing: unknown): boolean {
    if (this === Error && Object.prototype.toString.call(thing) === '[object Error]') return true;
    return ordinary.call(this as never, thing);
  },
});
