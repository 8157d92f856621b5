// docker-modem loads ssh2 (and its native add-on) at start, for ssh:// hosts only. See CONTRIBUTING.md.
'use strict';
exports.Client = class Client {
  constructor() {
    throw new Error(
      'DOCKER_HOST=ssh:// is not supported: forward the socket with `ssh -L` and set DOCKER_HOST=unix:///path/to.sock',
    );
  }
};
