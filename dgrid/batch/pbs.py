"""OpenPBS, PBS Pro and Torque, and Slurm with its Torque commands: one set of variables."""

from __future__ import annotations

from dgrid.batch.system import BatchSystem

# Paths and habits of the login host, which a container has nothing of; and the node file, which lies on the nodes
# alone: the containers have their own hostfile.
_OF_THE_HOST = frozenset(
    {
        "PBS_NODEFILE",
        "PBS_GPUFILE",
        "PBS_MICFILE",
        "PBS_O_HOME",
        "PBS_O_LANG",
        "PBS_O_LOGNAME",
        "PBS_O_MAIL",
        "PBS_O_PATH",
        "PBS_O_SHELL",
        "PBS_O_TZ",
        "PBS_CONF_FILE",
        "PBS_EXEC",
        "PBS_HOME",
    }
)

# Torque alone counts nodes and processors (PBS_NP, PBS_NUM_NODES, PBS_NUM_PPN) and says PBS_ARRAYID.
TORQUE = BatchSystem(
    name="Torque",
    signs=("PBS_NUM_NODES", "PBS_NUM_PPN", "PBS_NP"),
    job_id="PBS_JOBID",
    node_file="PBS_NODEFILE",
    prefix="PBS_",
    withheld=_OF_THE_HOST,
)

# OpenPBS and PBS Pro say PBS_ARRAY_INDEX and PBS_ARRAY_ID; a member's id has brackets: 38[2].head. NCPUS is theirs
# too. Slurm's Torque commands set just PBS_JOBID, PBS_NODEFILE and PBS_O_WORKDIR, and so look like this row.
PBS = BatchSystem(
    name="PBS",
    signs=("PBS_JOBID", "PBS_NODEFILE"),
    job_id="PBS_JOBID",
    node_file="PBS_NODEFILE",
    prefix="PBS_",
    also=frozenset({"NCPUS"}),
    withheld=_OF_THE_HOST,
)
