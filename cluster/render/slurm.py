"""The spec as a Slurm batch script: the job itself is Ray's head and runs the command, workers are job arrays.

Arrays, not one allocation of many nodes: a run starts with the first nodes that are free and grows as others become so,
and a node that is taken away costs only itself: Slurm queues a preempted element again, and it joins anew.
"""

import shlex

from cluster.spec import ClusterSpec, Node, Pool

_SCRIPT = """\
#!/bin/bash
# Made by `python -m cluster render slurm`. Submit it from the project's folder, on storage that all nodes share.
{options}
#SBATCH --requeue
set -euo pipefail
cd "${{SLURM_SUBMIT_DIR:-$PWD}}"
{setup}

# Whoever reaches Ray's ports can run code, and nodes have many users: what joins has to show this job's token.
RAY_AUTH_TOKEN=$(od -An -tx1 -N32 /dev/urandom | tr -d ' \\n')
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
# Ports and a folder of this job alone. Ray gives 10002 to 19999 to its workers.
port=$((20000 + SLURM_JOB_ID % 2500 * 4))
scratch=/tmp/ray-$SLURM_JOB_ID
mkdir -p "$scratch"
: >"$scratch/arrays"

finish() {{
    trap - TERM INT
    xargs -r scancel <"$scratch/arrays" || true
    kill "$head" 2>/dev/null && wait "$head" || true
    rm -rf "$scratch"
}}
ray start --head --block --disable-usage-stats --temp-dir="$scratch" --port=$port \\
    --ray-client-server-port=$((port + 1)) --dashboard-port=$((port + 2)) --dashboard-agent-listen-port=$((port + 3)) \\
    --num-cpus=0 --num-gpus=0 --object-store-memory={object_store} >"slurm-$SLURM_JOB_ID-head.log" 2>&1 &
head=$!
trap finish EXIT
trap 'exit 143' TERM INT

until [ -s "$scratch/ray_current_cluster" ]; do
    if ! kill -0 "$head" 2>/dev/null; then
        echo "error: Ray's head did not start, slurm-$SLURM_JOB_ID-head.log says why" >&2
        exit 1
    fi
    sleep 1
done
RAY_ADDRESS=$(cat "$scratch/ray_current_cluster")
export RAY_ADDRESS
{pools}

python -c '
import sys, time, ray
ray.init(logging_level="ERROR")
while sum(node["Alive"] for node in ray.nodes()) <= int(sys.argv[1]):  # the head is one of them
    time.sleep(1)
' {wait_for}
{command}
"""

_POOL = """
sbatch --parsable --export=ALL --requeue --open-mode=append \
    {options} <<'WORKER' | cut -d';' -f1 >>"$scratch/arrays"
#!/bin/bash
set -euo pipefail
cd "${{SLURM_SUBMIT_DIR:-$PWD}}"
{setup}
scratch=/tmp/ray-$SLURM_JOB_ID
ray start --block --address="$RAY_ADDRESS" --disable-usage-stats --temp-dir="$scratch" \\
    --dashboard-agent-listen-port=$((30000 + SLURM_JOB_ID % 2500)) \\
    --num-cpus={cpus} --num-gpus={gpus} --memory={memory} --object-store-memory={object_store} &
trap 'kill $! 2>/dev/null && wait $! || true; rm -rf "$scratch"' EXIT
trap 'exit 143' TERM INT
wait $!
WORKER"""


def render_slurm(spec: ClusterSpec, command: list[str]) -> str:
    """A script for `sbatch` that runs `command` on workers that come and go, and ends with its exit code."""
    options = [f"--job-name={spec.name}", *_options(spec, spec.head, spec.slurm.head_partition)]
    smallest = sum(pool.min_nodes for pool in spec.pools().values())
    return _SCRIPT.format(
        options="\n".join(f"#SBATCH {option}" for option in options),
        setup=_setup(spec),
        object_store=spec.object_store_bytes,
        pools="\n".join(_pool(spec, name, pool) for name, pool in spec.pools().items()),
        wait_for=max(1, smallest),
        command=shlex.join(command),
    )


def _pool(spec: ClusterSpec, name: str, pool: Pool) -> str:
    partition = spec.slurm.gpu_partition if pool.gpus else spec.slurm.cpu_partition
    options = [f"--job-name={spec.name}-{name}", f"--array=1-{pool.max_nodes}", *_options(spec, pool, partition)]
    return _POOL.format(
        options=" ".join(map(shlex.quote, options)),
        setup=_setup(spec),
        cpus=pool.cpus,
        gpus=pool.gpus,
        memory=spec.worker_bytes(pool),
        object_store=spec.object_store_bytes,
    )


def _options(spec: ClusterSpec, node: Node, partition: str | None) -> list[str]:
    options = ["--nodes=1", "--ntasks=1", f"--cpus-per-task={node.cpus}", f"--mem={node.memory_gb}G"]
    options.append(f"--time={spec.slurm.time}")
    if isinstance(node, Pool) and node.gpus:
        options.append(f"--gres=gpu:{node.gpus}")
    if partition:
        options.append(f"--partition={partition}")
    if spec.slurm.account:
        options.append(f"--account={spec.slurm.account}")
    return options


def _setup(spec: ClusterSpec) -> str:
    variables = [f"export {name}={shlex.quote(value)}" for name, value in spec.environment.items()]
    return "\n".join([*spec.slurm.setup, 'export PATH="$PWD/.venv/bin:$PATH"', *variables])
