"""The matrix methods × data sets × seeds, run as a Snakemake workflow.

`matrix` reads what is wanted, `resolving` asks the configs what it means, `plan` compares that with
what is there, `execution` lets Snakemake run the difference, one `job` per process. Scheduling is
Snakemake's; which cells are done, stale or failed is decided here, from the records. Nothing but
`resolve`, which runs in a process of its own, imports torch.
"""
