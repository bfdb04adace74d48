"""Each rank says where it runs; then all of them count pi together, and pass a large message around in a ring."""

import getpass
import math
import sys

from mpi4py import MPI

STEPS = 3_000_000
MESSAGE = bytes(range(256)) * 4096

world = MPI.COMM_WORLD
rank, size = world.Get_rank(), world.Get_size()

greetings = world.gather(f"Hello from rank {rank} of {size} on {MPI.Get_processor_name()}, as {getpass.getuser()}")
if rank == 0:
    print("\n".join(greetings))

# The area under 4 / (1 + x^2) from 0 to 1, in strips; each rank adds up every size-th strip.
share = sum(4 / (1 + ((step + 0.5) / STEPS) ** 2) for step in range(rank, STEPS, size)) / STEPS
pi = world.allreduce(share)

received = world.sendrecv(MESSAGE, dest=(rank + 1) % size, source=(rank - 1) % size)
all_arrived = world.allreduce(received == MESSAGE, MPI.LAND)

if rank == 0:
    print(f"pi is about {pi:.6f}; a megabyte went around the ring {'unchanged' if all_arrived else 'and was CHANGED'}")
sys.exit(0 if all_arrived and math.isclose(pi, math.pi, rel_tol=1e-9) else 1)
