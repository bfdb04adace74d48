"""What a node tells of the job on it: the cgroups of the user's processes, and the command that attaches some."""

from __future__ import annotations

from collections.abc import Iterable

from dgrid.plan.job_cgroup import Hierarchy, Level
from dgrid.plan.job_limits import Affinity

# One line for each value: "cgroup HIERARCHY KEY VALUE PATH", from the process's own cgroup up to the root. Reading is
# done by the shell itself, as a process for each of these files would take longer than all the rest.
JOB_SCRIPT = """
levels() {
  p=$3
  while :; do
    q=$2${p%/}
    echo "cgroup $1 at - $p"
    v=; { read -r v <"$q/$4"; } 2>/dev/null; [ -z "$v" ] || echo "cgroup $1 memory $v $p"
    v=; { read -r v <"$q/$5"; } 2>/dev/null; [ -z "$v" ] || echo "cgroup $1 cpus $v $p"
    v=; { read -r v <"$q/cgroup.procs"; } 2>/dev/null; [ -z "$v" ] || echo "cgroup $1 processes $v $p"
    [ "$p" != / ] || break
    p=${p%/*}; p=${p:-/}
  done
}
while IFS= read -r line; do
  rest=${line#*:}; path=${rest#*:}
  case $path in /*) ;; *) continue ;; esac
  case ,${rest%%:*}, in
  *,memory,*) levels memory /sys/fs/cgroup/memory "$path" memory.limit_in_bytes - ;;
  *,cpuset,*) levels cpuset /sys/fs/cgroup/cpuset "$path" - cpuset.effective_cpus ;;
  ,,) for m in /sys/fs/cgroup/unified /sys/fs/cgroup; do
      [ ! -f $m/cgroup.controllers ] || { levels unified $m "$path" memory.max cpuset.cpus.effective; break; }
    done ;;
  esac
done 2>/dev/null </proc/self/cgroup
while read -r k v; do
  [ "$k" != Cpus_allowed_list: ] || { read -r o </sys/devices/system/cpu/online; echo "affinity $v $o"; }
done 2>/dev/null </proc/self/status
for c in pbs_attach pbs_track; do
  if command -v $c >/dev/null; then echo attach $c "$(command -v $c)"
  elif [ -r /etc/pbs.conf ]; then
    p=$(. /etc/pbs.conf 2>/dev/null && [ -x "$PBS_EXEC/bin/$c" ] && echo "$PBS_EXEC/bin/$c")
    [ -z "$p" ] || echo attach $c "$p"
  fi
done
"""


def read_cgroups(lines: Iterable[str]) -> tuple[Hierarchy, ...]:
    """The hierarchies that the script's lines tell of; other lines are passed over.

    ``read_cgroups(["cgroup memory at - /", "cgroup memory memory 1024 /"])[0].levels[0].memory_bytes == 1024``.
    """
    found: dict[str, dict[str, dict[str, str]]] = {}
    for line in lines:
        words = line.split(" ", 4)
        if words[0] == "cgroup" and len(words) == 5:
            _, hierarchy, key, value, path = words
            found.setdefault(hierarchy, {}).setdefault(path, {})[key] = value
    return tuple(
        Hierarchy(name, tuple(_level(path, values) for path, values in levels.items()))
        for name, levels in found.items()
    )


def read_affinity(lines: Iterable[str]) -> Affinity | None:
    """``read_affinity(["affinity 0-1 0-7"]) == Affinity("0-1", "0-7")``; None where the node does not tell."""
    words = [line.split(" ") for line in lines]
    return next((Affinity(word[1], word[2]) for word in words if word[0] == "affinity" and len(word) == 3), None)


def read_attachers(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """The commands that attach processes to jobs: ``(("pbs_attach", "/opt/pbs/bin/pbs_attach"),)``."""
    words = [line.split(" ", 2) for line in lines]
    return tuple((word[1], word[2]) for word in words if word[0] == "attach" and len(word) == 3)


def _level(path: str, values: dict[str, str]) -> Level:
    memory = values.get("memory", "max")
    return Level(path, int(memory) if memory.isdecimal() else None, values.get("cpus"), "processes" in values)
