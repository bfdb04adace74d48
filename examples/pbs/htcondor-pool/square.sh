#!/bin/bash
# One job: squares its number.
sleep 2
echo "$1 $(($1 * $1)) $(id -un)"
