"""Two sources head to head on two compositions: which finds low structures sooner, and how sure that is.

    python head_to_head.py [NUM [FOLDER]]

Two compositions and a dozen candidates show how it is done and settle nothing: the comparison says so itself. Use
twenty compositions or more, and drop `relaxer` and `relaxer_options` for CHGNet.
"""

import sys

import xtalseek

COMPOSITIONS = ("MgO", "TiO2")


def main(num: str = "4", folder: str = "runs/head-to-head") -> None:
    runs = [
        xtalseek.search(
            formula,
            num=int(num),
            source=source,
            formula_units=(1, 2),
            relaxer="morse",  # quick, and no chemistry
            relaxer_options={"r0": 2.0, "rho0": 4.0, "epsilon": 0.8},
            max_steps=100,
            out=f"{folder}/{formula}-{source}",
        )
        for formula in COMPOSITIONS
        for source in ("random", "substitution")
    ]
    comparison = xtalseek.compare_runs(runs, within_mev=5.0, baseline="random")
    print("\n".join(comparison.lines()))


if __name__ == "__main__":
    main(*sys.argv[1:])
