"""A search in Python: its run folder, its minima, a table.

Run it again and it goes on where it was; with a larger NUM, beyond its old end:

    python search_in_python.py [FORMULA [NUM [RUN]]]

`mpirun -n 4 python search_in_python.py` shares the work between four ranks.
"""

import sys

import xtalseek
from xtalseek import api


def main(formula: str = "MgO", num: str = "8", out: str = "runs/example") -> None:
    run = xtalseek.search(
        formula,
        num=int(num),
        formula_units=(1, 2),
        relaxer="morse",  # quick, and no chemistry; leave both words out for CHGNet
        relaxer_options={"r0": 2.1, "rho0": 4.0, "epsilon": 0.8},
        max_steps=150,
        out=out,
    )
    ended = [record.relaxation.status for record in run.records]
    print(f"{len(ended)} candidates, {ended.count(api.Status.CONVERGED)} converged, in {run.path}")
    print(f"{'name':24} {'eV/atom':>9} {'space group':12} found")
    for minimum in xtalseek.find_minima(run):
        if not minimum.suspicious:
            words = f"{minimum.enthalpy_per_atom:9.4f} {minimum.space_group:12} {minimum.times_found}"
            print(f"{minimum.name:24} {words}")


if __name__ == "__main__":
    main(*sys.argv[1:])
