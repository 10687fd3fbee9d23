"""This module installs the peers: ``python -m benchmarks.peers``."""

from benchmarks.peers import install

if __name__ == "__main__":
    for name, version in install().items():
        print(f"{name:20} {version}")
