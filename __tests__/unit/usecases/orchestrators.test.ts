import { expect, test } from '@jest/globals';

import {
  refuseOrchestrated,
  startCommand,
  stopCommand,
} from '../../../src/usecases/orchestrators.ts';

const data = { type: 'volume', source: 'data' } as const;

test.each([
  {
    owner: 'Docker Swarm',
    labels: { 'com.docker.swarm.task.id': 'x1', 'com.docker.swarm.service.name': 'shop_db' },
    stop: 'docker service scale shop_db=0',
    start: 'docker service scale shop_db=1',
  },
  {
    owner: 'Kubernetes',
    labels: { 'io.kubernetes.pod.uid': 'x1', 'io.kubernetes.pod.namespace': 'shop' },
    stop: 'kubectl --namespace shop scale --replicas=0 KIND/NAME',
    start: 'kubectl --namespace shop scale --replicas=1 KIND/NAME',
  },
  {
    owner: 'Nomad',
    labels: { 'com.hashicorp.nomad.alloc_id': 'x1' },
    stop: 'nomad job stop JOB',
    start: 'nomad job run FILE',
  },
  {
    owner: 'Amazon ECS',
    labels: { 'com.amazonaws.ecs.task-arn': 'arn:x', 'com.amazonaws.ecs.cluster': 'main' },
    stop: 'aws ecs update-service --cluster main --service SERVICE --desired-count 0',
    start: 'aws ecs update-service --cluster main --service SERVICE --desired-count 1',
  },
  {
    owner: 'systemd',
    labels: { PODMAN_SYSTEMD_UNIT: 'db@1.service' },
    stop: 'systemctl stop db@1.service',
    start: 'systemctl start db@1.service',
  },
])(
  'a container of $owner is refused, with the commands to use',
  ({ owner, labels, stop, start }) => {
    const container = { name: 'db', labels: { ...labels, other: 'x' } };
    expect([stopCommand(container), startCommand(container)]).toEqual([stop, start]);
    expect(() => {
      refuseOrchestrated(container, [data, { type: 'bind', source: '/srv/files' }]);
    }).toThrow(
      expect.objectContaining({
        code: 'invalid-settings',
        message: expect.stringMatching(`^the container db belongs to ${owner}, `),
        hint: `End it with "${stop}", save data, /srv/files by name ("volumes"), and start it with "${start}"`,
      }),
    );
  },
);

test('any other container is not, and has the commands of docker', () => {
  const labels = {
    'com.docker.compose.project': 'shop',
    'com.docker.swarm.task': '',
    PODMAN_SYSTEMD_UNIT: 'podman-compose@shop.service',
  };
  const container = { name: 'db', labels };
  refuseOrchestrated(container, [data]);
  expect(stopCommand(container)).toBe('docker stop db');
  expect(startCommand(container)).toBe('docker start db');
});

test('what a label says is no part of a command where a shell would read more in it', () => {
  const labels = {
    'com.docker.swarm.task.id': 'x1',
    'com.docker.swarm.service.name': 'db; rm -rf $HOME',
  };
  expect(stopCommand({ name: 'db', labels })).toBe('docker service scale SERVICE=0');
});
