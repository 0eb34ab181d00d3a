"""What the rows of a leaderboard cost, as columns of the boards and against their scores.

Parameters and FLOPs are counted from the configs, speed and memory come from the tables of
``tools/bench.py pretrain``, and the time of the pre-training from the cards of the encoders that
the records name. What is not known has no number.
"""
