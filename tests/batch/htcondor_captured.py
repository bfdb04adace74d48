"""Captured from a job of HTCondor 23.9.6 (Debian trixie, 23.9.6+dfsg-2.1+b10), parallel universe, machine_count=3.

Three nodes with a partitionable slot of four processors each, a job of an ordinary user from a shared home. The
environment is whole; of the two files, lines with addresses, counters and the like are left out.
"""

from __future__ import annotations

DIRECTORY = "/var/lib/condor/execute/dir_262"

PROCESS_0 = {
    "APPTAINER_CACHEDIR": DIRECTORY,
    "BATCH_SYSTEM": "HTCondor",
    "CUBACORES": "1",
    "CUDA_VISIBLE_DEVICES": "10000",
    "GOMAXPROCS": "1",
    "GPU_DEVICE_ORDINAL": "10000",
    "JULIA_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NVIDIA_VISIBLE_DEVICES": "none",
    "OMP_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PATH": "/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PWD": "/home/alice/t",
    "PYTHON_CPU_COUNT": "1",
    "ROOT_MAX_THREADS": "1",
    "SHLVL": "1",
    "SINGULARITY_CACHEDIR": DIRECTORY,
    "TEMP": "/tmp",
    "TF_LOOP_PARALLEL_ITERATIONS": "1",
    "TF_NUM_THREADS": "1",
    "TMP": "/tmp",
    "TMPDIR": "/tmp",
    "_": "/usr/bin/env",
    "_CHIRP_DELAYED_UPDATE_PREFIX": "Chirp*",
    "_CONDOR_ANCESTOR_115": "133:1795196485:967105586",
    "_CONDOR_ANCESTOR_133": "262:1795196506:2208839109",
    "_CONDOR_ANCESTOR_262": "263:1795196506:948419325",
    "_CONDOR_AssignedGPUs": "10000",
    "_CONDOR_BIN": "/usr/bin",
    "_CONDOR_CHIRP_CONFIG": f"{DIRECTORY}/.chirp.config",
    "_CONDOR_JOB_AD": f"{DIRECTORY}/.job.ad",
    "_CONDOR_JOB_IWD": "/home/alice/t",
    "_CONDOR_JOB_PIDS": "",
    "_CONDOR_MACHINE_AD": f"{DIRECTORY}/.machine.ad",
    "_CONDOR_NPROCS": "3",
    "_CONDOR_PROCNO": "0",
    "_CONDOR_REMOTE_SPOOL_DIR": "/var/spool/condor/2/0/cluster2.proc0.subproc0",
    "_CONDOR_SCRATCH_DIR": DIRECTORY,
    "_CONDOR_SLOT": "slot1_3",
}

JOB_AD = """\
AllRemoteHosts = "slot1_3@node1,slot1_3@node2,slot1_3@node3"
Arguments = ""
ClusterId = 2
Cmd = "/home/alice/t/par.sh"
CondorVersion = "$CondorVersion: 23.9.6 2026-07-12 PackageID: 23.9.6+dfsg-2.1+b10 $"
CpusProvisioned = 1
CurrentHosts = 3
Environment = ""
ExitBySignal = false
FileSystemDomain = "lab"
GlobalJobId = "front#2.0#1795196502"
Iwd = "/home/alice/t"
JobCurrentReconnectAttempt = undefined
JobCurrentStartDate = 1795196505
JobStatus = 1
JobUniverse = 11
KillSig = "SIGTERM"
MPIIsMaster = true
MaxHosts = 3
MemoryProvisioned = 128
MinHosts = 3
MyType = "Job"
Node = 0
Owner = "alice"
ProcId = 0
RemoteHost = "slot1_3@node1"
RemoteHosts = "slot1_3@node1,slot1_3@node2,slot1_3@node3"
RequestCpus = 1
RequestDisk = 1
RequestMemory = 1
Requirements = (TARGET.Arch == "X86_64") && (TARGET.OpSys == "LINUX") && (TARGET.Disk >= RequestDisk) && \
(TARGET.Memory >= RequestMemory) && ((TARGET.FileSystemDomain == MY.FileSystemDomain) || (TARGET.HasFileTransfer))
Scheduler = "DedicatedScheduler@front"
TargetType = "Machine"
User = "alice@lab"
WantIOProxy = true
"""

MACHINE_AD = """\
Activity = "Idle"
Arch = "X86_64"
CondorScratchDir = "#CoNdOrScRaTcHdIr#"
Cpus = 1
DSlotId = 3
DetectedCpus = 2
DetectedGPUs = 0
DetectedMemory = 24105
Disk = 2048
DynamicSlot = true
GPUs = 0
Machine = "node1"
MachineMaxVacateTime = 10
MachineResources = "Cpus Memory Disk Swap GPUs"
Memory = 128
Name = "slot1_3@node1"
ParentSlotId = 1
Requirements = START && (WithinResourceLimits)
SlotType = "Dynamic"
State = "Claimed"
TotalCpus = 4.0
TotalMemory = 24105
TotalSlotCpus = 1
"""

FILES = {f"{DIRECTORY}/.job.ad": JOB_AD, f"{DIRECTORY}/.machine.ad": MACHINE_AD}
