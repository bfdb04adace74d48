#!/bin/bash
#OAR -n mail-relays
#OAR -l nodes=3,walltime=0:10:00

# Submit from this directory, after setup.sh in ../pbs/mail-relays: oarsub -S ./mail-relays.sh
cd ../pbs/mail-relays || exit
dgrid --dockdef=mail-relays.json
