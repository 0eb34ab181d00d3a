"""The matrix methods × datasets × seeds, run as a Snakemake workflow.

`matrix` reads the config, `cells` knows its cells and their kinds, `config_cache` asks the configs
for hashes and inputs, `plan` compares them with the existing results, `execution` lets Snakemake
run the difference, one `worker` process per job. Scheduling is Snakemake's; which jobs are done,
stale or failed is decided here, from the records. Only `config_facts`, which runs in a separate
process, imports torch.
"""
