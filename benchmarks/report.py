"""Write the tables of the newest results of ``vs_torch.py --save`` into README.md and docs/speed.md.

    python benchmarks/report.py

A table stands between ``<!-- NAME -->`` and ``<!-- end -->``; what was there before is replaced.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from vs_torch import TARGETS, geometric_mean

ROOT = Path(__file__).parent.parent
NETS = ("tiny mlp", "mlp 784-256-128-10, adam", "lenet-5", "mnist two-conv", "cifar resnet-20", "vgg-like",
        "depthwise-separable", "conv autoencoder", "lstm language model", "causal transformer",
        "resnet-18 inference, batch 1", "resnet-18 inference, batch 32")  # fmt: skip


def ratios(results: dict[str, Any], threads: str) -> dict[str, Any]:
    """For each workload its row in the comparison with torch."""
    return {row["name"]: row for row in results["times"][threads] if "torch" in row.get("ratio", {})}


def cell(row: dict[str, Any]) -> str:
    low, high = row["quartiles"]["torch"]
    return f"{row['ratio']['torch']:.2f} ({low:.2f} to {high:.2f})"


def milliseconds(row: dict[str, Any]) -> str:
    times = (row["seconds"][framework] * 1e3 for framework in ("minigrad", "torch"))
    return " / ".join(f"{time:.0f}" if time >= 100 else f"{time:.3g}" for time in times)


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows))


def mean(rows: dict[str, Any]) -> float:
    return geometric_mean([row["ratio"]["torch"] for row in rows.values()])


def full(results: dict[str, Any]) -> str:
    one, two = ratios(results, "1"), ratios(results, "2")
    rows = []
    for name in two:
        peaks = results["memory"].get(name, {})
        memory = f"{peaks['minigrad'] / peaks['torch']:.2f}" if peaks.keys() >= {"minigrad", "torch"} else ""
        rows.append([name, milliseconds(one[name]), cell(one[name]), milliseconds(two[name]), cell(two[name]),
                     f"{TARGETS.get(name, 1.0):g}", memory])  # fmt: skip
    rows.append(["geometric mean", "", f"**{mean(one):.3f}**", "", f"**{mean(two):.3f}**", "0.6", ""])
    return table(["workload", "1 thread, ms", "ratio", "2 threads, ms", "ratio", "target", "peak memory"], rows)


def short(results: dict[str, Any]) -> str:
    one, two = ratios(results, "1"), ratios(results, "2")
    rows = [[name, *(f"{rows[name]['ratio']['torch']:.2f}" for rows in (one, two))] for name in NETS]
    rows.append([f"all {len(two)} workloads", f"{mean(one):.2f}", f"{mean(two):.2f}"])
    return table(["time / PyTorch's", "1 thread", "2 threads"], rows)


def main() -> None:
    newest = max((ROOT / "benchmarks" / "results").glob("*.json"))
    results = json.loads(newest.read_text())
    machine = results["machine"]
    peers = {row["peer"]: row["seconds"][row["peer"]] * 1e3 for row in results["times"]["1"] if "peer" in row}
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    blas = "".join(f"{blas}, " for blas in machine.get("blas", ()))
    about = (f"`{newest.relative_to(ROOT)}`: {machine['processor']}, {machine['cores']} cores, {machine['system']}, "
             f"Python {machine['python']}, {blas}{versions}.")  # fmt: skip
    others = "; ".join(f"{name} {time:.0f} ms" for name, time in peers.items())
    texts = {"full": full(results), "short": short(results), "machine": about, "peers": others}
    for path in (ROOT / "README.md", ROOT / "docs" / "speed.md"):
        text = path.read_text()
        for name, part in texts.items():
            text = re.sub(rf"<!-- {name} -->\n.*?<!-- end -->", lambda _, name=name, part=part:
                          f"<!-- {name} -->\n\n{part}\n\n<!-- end -->", text, flags=re.S)  # fmt: skip
        path.write_text(text)


if __name__ == "__main__":
    main()
