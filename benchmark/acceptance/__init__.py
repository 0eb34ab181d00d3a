"""Everything that only a GPU shows, in one command of ten minutes (`tools/gpu_acceptance.sh`).

`plan` lists the parts in the order of what would be lost first, `running` gives each a process and
a time limit of its own, `findings` is what they report and how it becomes a verdict. On a CPU the
same parts run with small sizes, so that the script itself is tested where there is no GPU.
"""
