#!/bin/bash
# What the head runs in the pool: submits 20 jobs, waits for all of them, and ends with 0 only if each did.
set -eu
rm -rf results
mkdir results
condor_submit square.sub
condor_wait results/log

failed=$(condor_history -constraint 'ExitCode =!= 0' -af ProcId)
[ -z "$failed" ] || { echo "these jobs failed: ${failed//$'\n'/ }" >&2; exit 1; }
echo "jobs by executor:"
condor_history -af LastRemoteHost | sort | uniq -c
echo "the sum of all squares: $(awk '{sum += $2} END {print sum}' results/*.out)"
