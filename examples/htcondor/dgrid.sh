#!/bin/bash
# Runs dgrid in a job of HTCondor: dgrid.sh DEFINITION [OPTION...]
#
# In the parallel universe HTCondor starts this on every node, and ends it on the others when it has ended on the first.
[ "${_CONDOR_PROCNO:-0}" = 0 ] || exec sleep infinity

# exec: HTCondor sends TERM to this very process, and it is dgrid that has to hear it.
exec dgrid --dockdef="$1" "${@:2}"
