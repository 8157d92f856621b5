import { AppError } from '../errors.ts';
import type { ContainerState, Labels } from '../runtime/runtime.ts';
import type { Storage } from '../runtime/volume-copier.ts';

// Whose containers must be stopped by their owner: it would start them again, or others in their place, beside ours.

interface Orchestrator {
  readonly name: string;
  /** That all of its containers carry. */
  readonly label: string;
  /** Commands by which its user ends what the container belongs to, and has it run again. */
  readonly stop: (labels: ReadLabel) => string;
  readonly start: (labels: ReadLabel) => string;
}

/** What a label says, or `otherwise`. */
type ReadLabel = (label: string, otherwise: string) => string;

const swarm = 'com.docker.swarm';
const nomad = 'com.hashicorp.nomad';
const kubernetes = 'io.kubernetes';
const ecs = 'com.amazonaws.ecs';
const podman = 'PODMAN_SYSTEMD_UNIT';

const orchestrators: readonly Orchestrator[] = [
  {
    // https://github.com/moby/moby/blob/master/daemon/cluster/executor/container/container.go
    name: 'Docker Swarm',
    label: `${swarm}.task.id`,
    stop: (of) => `docker service scale ${of(`${swarm}.service.name`, 'SERVICE')}=0`,
    start: (of) => `docker service scale ${of(`${swarm}.service.name`, 'SERVICE')}=1`,
  },
  {
    // https://github.com/Mirantis/cri-dockerd; the names are those of
    // https://github.com/kubernetes/kubelet/blob/master/pkg/types/labels.go
    name: 'Kubernetes',
    label: `${kubernetes}.pod.uid`,
    stop: (of) => scalePods(of, 0),
    start: (of) => scalePods(of, 1),
  },
  {
    // https://developer.hashicorp.com/nomad/docs/deploy/task-driver/docker#extra_labels
    name: 'Nomad',
    label: `${nomad}.alloc_id`,
    stop: (of) => `nomad job stop ${of(`${nomad}.job_name`, 'JOB')}`,
    start: () => 'nomad job run FILE',
  },
  {
    // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-agent-config.html
    name: 'Amazon ECS',
    label: `${ecs}.task-arn`,
    stop: (of) => desiredCount(of, 0),
    start: (of) => desiredCount(of, 1),
  },
  {
    // https://docs.podman.io/en/latest/markdown/podman-systemd.unit.5.html
    name: 'systemd',
    label: podman,
    stop: (of) => `systemctl stop ${of(podman, 'UNIT')}`,
    start: (of) => `systemctl start ${of(podman, 'UNIT')}`,
  },
];

/** What owns the pods is not in their labels. */
function scalePods(of: ReadLabel, replicas: number): string {
  const namespace = of(`${kubernetes}.pod.namespace`, 'default');
  return `kubectl --namespace ${namespace} scale --replicas=${replicas} KIND/NAME`;
}

function desiredCount(of: ReadLabel, count: number): string {
  const cluster = of(`${ecs}.cluster`, 'CLUSTER');
  return `aws ecs update-service --cluster ${cluster} --service SERVICE --desired-count ${count}`;
}

/**
 * A container of an image that was committed from such a one has its labels, too: it is refused, as nobody can tell. podman-compose
 * names a unit for each of its containers, which is there only after `podman-compose systemd`
 * (https://github.com/containers/podman-compose#readme).
 */
function ownerOf({ labels }: Labelled): Orchestrator | undefined {
  return orchestrators.find(({ label }) => !/^$|^podman-compose@/.test(labels[label] ?? ''));
}

type Labelled = Pick<ContainerState, 'name' | 'labels'>;

/** The command that ends a container for good. */
export function stopCommand(container: Labelled): string {
  const owner = ownerOf(container);
  return owner ? owner.stop(readerOf(container.labels)) : `docker stop ${container.name}`;
}

/** The command that starts one again. */
export function startCommand(container: Labelled): string {
  const owner = ownerOf(container);
  return owner ? owner.start(readerOf(container.labels)) : `docker start ${container.name}`;
}

/** Labels are anybody's text, and the command is to be copied into a shell. */
const readerOf =
  (labels: Labels): ReadLabel =>
  (label, otherwise) => {
    const value = labels[label] ?? '';
    return /^[\w.@:/-]+$/.test(value) ? value : otherwise;
  };

/**
 * Whoever is at rest for a copy is started by us alone afterwards, and nobody beside it.
 * @param storages of `container`, that are to be saved
 * @throws `invalid-settings` for a container that its owner would replace or start meanwhile
 */
export function refuseOrchestrated(container: Labelled, storages: readonly Storage[]): void {
  const owner = ownerOf(container);
  if (!owner) return;
  throw new AppError(
    'invalid-settings',
    `the container ${container.name} belongs to ${owner.name}, which would start it or another one in its place while it is at rest`,
    {
      hint:
        `End it with "${stopCommand(container)}", save ${storages.map(({ source }) => source).join(', ')} by name ("volumes"), ` +
        `and start it with "${startCommand(container)}"`,
    },
  );
}
