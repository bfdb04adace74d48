#!/bin/bash
#OAR -n quickstart
#OAR -l nodes=3,walltime=0:05:00

# Submit from this directory: oarsub -S ./quickstart.sh
dgrid --dockdef=../pbs/quickstart/quickstart.json
