"""The portal while things break: processes killed and paused, databases and brokers lost, networks cut, disks full.

How often each fault is repeated is FAULT_ROUNDS (1 by default; `make test-faults` takes ten).
"""
