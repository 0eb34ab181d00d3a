"""Tables of the evaluations beside fine-tuning: frozen features, LoRA, few labels, elsewhere.

The dataset id of a record says how it was evaluated. No evaluation shares a table with another one
or with fine-tuning; `overview` shows the ranks of all tables together, and `scatter` the scores of
frozen features against those after fine-tuning.
"""
