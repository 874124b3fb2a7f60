"""Reads `cargo metadata` and fails if a dependency of the library needs a newer Rust
than the crate says it does. What only tests and benches need does not count."""

import json
import sys

metadata = json.load(sys.stdin)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
root = metadata["resolve"]["root"]


def version(text):
    return tuple(int(part) for part in (text.split("-")[0] + ".0.0").split(".")[:3])


reached, todo = {root}, [root]
while todo:
    for dependency in nodes[todo.pop()]["deps"]:
        kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
        if dependency["pkg"] not in reached and kinds & {None, "build"}:
            reached.add(dependency["pkg"])
            todo.append(dependency["pkg"])

ours = packages[root]["rust_version"]
newer = [
    f"{package['name']} {package['version']} needs Rust {package['rust_version']}"
    for package in (packages[reach] for reach in sorted(reached))
    if package["rust_version"] and version(package["rust_version"]) > version(ours)
]
print(f"{len(reached) - 1} dependencies, Rust {ours}")
if newer:
    sys.exit("\n".join(newer))
