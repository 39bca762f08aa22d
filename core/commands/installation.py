"""The sub-commands `bench` and `doctor`: report what this installation can do, and how fast."""

from __future__ import annotations

import argparse
import sys

from core.commands.output import DONE, FAILED, print_json


def bench(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.bench import run_bench

    result = run_bench(arguments.steps, arguments.device, lambda name: print(name, file=sys.stderr), arguments.only)
    if arguments.json:
        print_json(result)
        return DONE
    print(
        f"{result['device']}: {result['device_reason']}, torch {result['torch']}, {result['threads']} threads, "
        f"matrices multiply at {result['gemm_gflops']:.0f} GFLOP/s in fp32, {result['gemm_gflops_bf16']:.0f} in bf16"
    )
    for row in result["configurations"]:
        print(
            f"{row['name']:44}{row['seconds_per_step']:8.3f} s/step{row['images_per_second']:7.1f} images/s"
            f"{row['memory_gib']:6.1f} GiB  step/plain {row['step_to_plain']:.2f}  loaded/cached {row['loaded_to_cached']:.2f}"
        )
        for variant, ratio in row["variant_to_step"].items():
            print(f"    {variant}: ×{ratio:.2f}")
        print("    " + "  ".join(f"{part} {seconds:.3f}" for part, seconds in row["parts"].items()))
        print("    " + "  ".join(f"{operator} {share:.0%}" for operator, share in row["operators"].items()))
    return DONE


def doctor(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    from core.commands.doctor import examine

    findings = examine()
    if arguments.json:
        print_json({"ok": all(f.ok for f in findings), "findings": [f.to_json() for f in findings]})
    else:
        for finding in findings:
            print(f"{'ok ' if finding.ok else 'NO '} {finding.name:30}{finding.value}")
            if finding.remedy:
                print(f"{'':34}→ {finding.remedy}")
    return DONE if all(finding.ok for finding in findings) else FAILED
