"""Environments of jobs, cut short, and the files they name.

"Measured": names of variables, and forms of values and files, are those seen in real jobs of that version; hosts, paths
and numbers are partly others. What is not measured has the document it was read in.
"""

from __future__ import annotations

from dgrid.batch.sources import Surroundings
from dgrid.errors import UsageError

# Measured: OpenPBS 23.06 (master of 2026-04), an array member, mpiprocs=2; the script's host is first. PBS_JOBNAME and
# PBS_O_LOGNAME after the PBS Professional 2022.1 Reference Guide.
OPENPBS = {
    "PBS_JOBID": "38[2].head",
    "PBS_JOBNAME": "job.sh",
    "PBS_NODEFILE": "/var/spool/pbs/aux/38[2].head",
    "PBS_ARRAY_INDEX": "2",
    "PBS_ARRAY_ID": "38[].head",
    "PBS_O_WORKDIR": "/home/alice/job",
    "PBS_O_LOGNAME": "alice",
    "PBS_O_PATH": "/usr/bin",
    "PBS_O_HOME": "/home/alice",
    "PBS_JOBCOOKIE": "0123456789ABCDEF",
    "PBS_MOMPORT": "15003",
    "NCPUS": "2",
    "TMPDIR": "/var/tmp/pbs.38[2].head",
    "HOME": "/home/alice",
}
OPENPBS_FILES = {"/var/spool/pbs/aux/38[2].head": "n2\nn2\nn1\nn1\n"}

# Measured: Torque 6.1-dev, nodes=2:ppn=2.
TORQUE = {
    "PBS_JOBID": "0.head",
    "PBS_NODEFILE": "/var/spool/torque/aux/0.head",
    "PBS_NP": "4",
    "PBS_NUM_NODES": "2",
    "PBS_NUM_PPN": "2",
    "PBS_ARRAYID": "3",
    "PBS_JOBCOOKIE": "FEDCBA9876543210",
}
TORQUE_FILES = {"/var/spool/torque/aux/0.head": "n1\nn1\nn2\nn2\n"}

# Captured: Slurm 24.11.5 of Debian trixie, sbatch -N2 --ntasks-per-node=2.
SLURM_TWO_NODES = {
    "SLURM_CLUSTER_NAME": "lab",
    "SLURM_CONF": "/etc/slurm/slurm.conf",
    "SLURM_CPUS_ON_NODE": "2",
    "SLURM_GTIDS": "0",
    "SLURM_JOBID": "1",
    "SLURM_JOB_CPUS_PER_NODE": "2(x2)",
    "SLURM_JOB_END_TIME": "1795187776",
    "SLURM_JOB_ID": "1",
    "SLURM_JOB_NAME": "analysis",
    "SLURM_JOB_NODELIST": "node[1-2]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_PARTITION": "batch",
    "SLURM_JOB_USER": "alice",
    "SLURM_LOCALID": "0",
    "SLURM_NNODES": "2",
    "SLURM_NODEID": "0",
    "SLURM_NODELIST": "node[1-2]",
    "SLURM_NPROCS": "4",
    "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "0",
    "SLURM_SUBMIT_DIR": "/home/alice",
    "SLURM_SUBMIT_HOST": "front",
    "SLURM_TASKS_PER_NODE": "2(x2)",
}
# Captured: the same, in a step: sbatch -N2 --exclusive, srun -N1 -n1.
SLURM_STEP = {
    "SLURM_JOB_ID": "6",
    "SLURM_JOB_CPUS_PER_NODE": "4(x2)",
    "SLURM_JOB_NODELIST": "node[1-2]",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_NNODES": "1",
    "SLURM_NODELIST": "node[1-2]",
    "SLURM_PROCID": "0",
    "SLURM_STEP_NODELIST": "node1",
    "SLURM_STEP_TASKS_PER_NODE": "1",
    "SLURM_TASKS_PER_NODE": "1",
}
# Captured: the same, sbatch -N1 -n1 : -N1 -n2; each variable of a group is there as _PACK_GROUP_n, too.
SLURM_HETEROGENEOUS = {
    "SLURM_HET_SIZE": "2",
    "SLURM_PACK_SIZE": "2",
    "SLURM_JOB_ID": "2",
    "SLURM_JOB_ID_HET_GROUP_0": "2",
    "SLURM_JOB_ID_HET_GROUP_1": "3",
    "SLURM_JOB_CPUS_PER_NODE": "1",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_0": "1",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1": "2",
    "SLURM_JOB_NODELIST": "node1",
    "SLURM_JOB_NODELIST_HET_GROUP_0": "node1",
    "SLURM_JOB_NODELIST_HET_GROUP_1": "node2",
    "SLURM_JOB_NUM_NODES": "1",
    "SLURM_TASKS_PER_NODE": "1",
    "SLURM_TASKS_PER_NODE_HET_GROUP_0": "1",
    "SLURM_TASKS_PER_NODE_HET_GROUP_1": "2",
}
# The same variables with other values, after sbatch(1): folded names and counts, an array member.
SLURM = {
    "SLURM_JOB_ID": "17",
    "SLURM_JOBID": "17",
    "SLURM_JOB_NAME": "analysis",
    "SLURM_JOB_USER": "alice",
    "SLURM_SUBMIT_DIR": "/home/alice/job",
    "SLURM_ARRAY_TASK_ID": "4",
    "SLURM_JOB_NODELIST": "n[1-3],gpu1",
    "SLURM_NODELIST": "n[1-3],gpu1",
    "SLURM_TASKS_PER_NODE": "2(x3),1",
    "SLURM_JOB_CPUS_PER_NODE": "8(x4)",
    "SLURM_JOB_NUM_NODES": "4",
    "SLURM_PROCID": "0",
    "SLURM_STEP_ID": "0",
}
SLURM_LARGER_GROUP = {
    **SLURM_HETEROGENEOUS,
    "SLURM_JOB_NODELIST_HET_GROUP_1": "big[08-10],node1",
    "SLURM_JOB_CPUS_PER_NODE_HET_GROUP_1": "4(x2),2(x2)",
    "SLURM_TASKS_PER_NODE_HET_GROUP_1": "",
}
SLURM_WITH_TORQUE_COMMANDS = {
    "PBS_JOBID": "7",
    "PBS_NODEFILE": "/tmp/nodes.7",
    "PBS_O_WORKDIR": "/home/alice",
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NODELIST": "n[1-2]",
}
SLURM_FILES = {"/tmp/nodes.7": "n1\nn2\n"}

# Captured: OAR 2.6.1 of Debian trixie, in a lab, oarsub -l nodes=2/core=2,walltime=0:5:0; all that OAR has set; and the
# resources' file, cut short.
OAR = {
    "BASH_ENV": "~oar/.batch_job_bashrc",
    "OARCONFFILE": "/etc/oar/oar.conf",
    "OARDIR": "/usr/lib/oar",
    "OARDO_UID": "102",
    "OARDO_USER": "oar",
    "OARUSER": "oar",
    "OARXAUTHLOCATION": "/usr/bin/xauth",
    "OAR_ARRAYID": "1",
    "OAR_ARRAYINDEX": "1",
    "OAR_ARRAY_ID": "1",
    "OAR_ARRAY_INDEX": "1",
    "OAR_CPUSET": "/oar/alice_1",
    "OAR_FILE_NODES": "/var/lib/oar/1",
    "OAR_JOBID": "1",
    "OAR_JOB_ID": "1",
    "OAR_JOB_NAME": "",
    "OAR_JOB_WALLTIME": "0:5:0",
    "OAR_JOB_WALLTIME_SECONDS": "300",
    "OAR_KEY": "1",
    "OAR_NODEFILE": "/var/lib/oar/1",
    "OAR_NODE_FILE": "/var/lib/oar/1",
    "OAR_O_WORKDIR": "/home/alice",
    "OAR_PROJECT_NAME": "default",
    "OAR_RESOURCE_FILE": "/var/lib/oar/1",
    "OAR_RESOURCE_PROPERTIES_FILE": "/var/lib/oar/1_resources",
    "OAR_STDERR": "OAR.1.stderr",
    "OAR_STDOUT": "OAR.1.stdout",
    "OAR_USER": "alice",
    "OAR_WORKDIR": "/home/alice",
    "OAR_WORKING_DIRECTORY": "/home/alice",
    "SSH_CONNECTION": "172.31.0.2 56076 172.31.0.3 6667",
    "SUDO_COMMAND": "OAR",
    "TERM": "unknown",
}
OAR_RESOURCES = "".join(
    f" {line} \n"
    for line in (
        "cpu = '1' , drain = 'NO' , network_address = 'node1' , core = '1' , cpuset = '0' , type = 'default'",
        "core = '5' , network_address = 'node2' , drain = 'NO' , cpu = '5' , type = 'default' , cpuset = '0'",
        "cpuset = '1' , type = 'default' , drain = 'NO' , network_address = 'node2' , core = '6' , cpu = '6'",
        "cpuset = '1' , type = 'default' , cpu = '2' , network_address = 'node1' , core = '2' , drain = 'NO'",
    )
)
OAR_FILES = {"/var/lib/oar/1": "node1\nnode1\nnode2\nnode2\n"}

# Measured: Grid Engine 8.1.9 of Debian trixie, qsub -pe nodes 2.
GRID_ENGINE = {
    "JOB_ID": "1",
    "JOB_NAME": "env.sh",
    "JOB_SCRIPT": "/var/spool/gridengine/execd/labs-snode2/job_scripts/1",
    "PE": "nodes",
    "PE_HOSTFILE": "/var/spool/gridengine/execd/labs-snode2/active_jobs/1.1/pe_hostfile",
    "NSLOTS": "2",
    "NHOSTS": "2",
    "NQUEUES": "2",
    "QUEUE": "all.q",
    "LOGNAME": "alice",
    "SGE_TASK_ID": "undefined",
    "SGE_O_WORKDIR": "/home/alice",
    "SGE_JOB_SPOOL_DIR": "/var/spool/gridengine/execd/labs-snode2/active_jobs/1.1",
    "SGE_ROOT": "/var/lib/gridengine",
    "ARC": "lx-amd64",
    "ENVIRONMENT": "BATCH",
}
GRID_ENGINE_FILES = {
    GRID_ENGINE["PE_HOSTFILE"]: "labs-snode2 1 all.q@labs-snode2 UNDEFINED\nlabs-snode1 1 all.q@labs-snode1 UNDEFINED\n"
}

# Measured: HTCondor 23.9.6 of Debian trixie, parallel universe, machine_count=2, and AllRemoteHosts of its job ad; the
# ad's other lines, and _CONDOR_CREDS, after the HTCondor 23 manual. htcondor_captured.py has a whole one.
HTCONDOR = {
    "BATCH_SYSTEM": "HTCondor",
    "_CONDOR_JOB_AD": "/var/lib/condor/execute/dir_77/.job.ad",
    "_CONDOR_MACHINE_AD": "/var/lib/condor/execute/dir_77/.machine.ad",
    "_CONDOR_SCRATCH_DIR": "/var/lib/condor/execute/dir_77",
    "_CONDOR_JOB_IWD": "/home/alice",
    "_CONDOR_SLOT": "slot1",
    "_CONDOR_PROCNO": "0",
    "_CONDOR_NPROCS": "2",
    "_CONDOR_CREDS": "/var/lib/condor/execute/dir_77/.condor_creds",
}
HTCONDOR_FILES = {
    HTCONDOR["_CONDOR_JOB_AD"]: (
        'AllRemoteHosts = "slot1@cnode2,slot1@cnode3"\nClusterId = 5\nProcId = 0\n'
        'Owner = "alice"\nIwd = "/home/alice"\n'
        'Requirements = (TARGET.Arch == "X86_64") && (TARGET.OpSys == "LINUX")\nRequestCpus = 1\n'
    )
}

# After "IBM Spectrum LSF 10.1 reference, Environment variables".
LSF = {
    "LSB_JOBID": "1234",
    "LSB_JOBINDEX": "0",
    "LSB_JOBNAME": "analysis",
    "LSB_MCPU_HOSTS": "hostB 2 hostA 4",
    "LSB_HOSTS": "hostB hostB hostA hostA hostA hostA",
    "LSB_DJOB_NUMPROC": "6",
    "LSB_DJOB_HOSTFILE": "/home/alice/.lsbatch/1234.hostfile",
    "LSFUSER": "alice",
    "LS_SUBCWD": "/home/alice/job",
    "LSF_ENVDIR": "/etc/lsf",
}
LSF_FILES = {LSF["LSB_DJOB_HOSTFILE"]: "hostB\nhostB\nhostA\nhostA\nhostA\nhostA\n"}

# After flux-environment(7) and flux-hostlist(1) of flux-core: a script of `flux batch` has FLUX_URI alone.
FLUX = {"FLUX_URI": "local:///tmp/flux-Xy/local-0"}
FLUX_SAYS = {
    ("flux", "getattr", "jobid"): "ƒ3ETxsR9H\n",
    ("flux", "hostlist", "local"): "host[2-3]\n",
    ("flux", "resource", "list", "-n", "-o", "{ncores}"): "8\n0\n0\n",
}

FILES = {
    **OPENPBS_FILES,
    **TORQUE_FILES,
    **SLURM_FILES,
    **OAR_FILES,
    **GRID_ENGINE_FILES,
    **HTCONDOR_FILES,
    **LSF_FILES,
}


def around(environment, changes=None, files=None):
    """The environment with changes (None takes a variable away), its files, and what flux says."""
    there = FILES if files is None else files

    def read(path):
        if path not in there:
            raise UsageError(f"{path}: cannot read this file of the job (No such file or directory)")
        return there[path].encode()

    merged = {**environment, **(changes or {})}
    left = {name: value for name, value in merged.items() if value is not None}
    return Surroundings(left, read, FLUX_SAYS.get, "n1")
