"""The papers' tables and figures beside what was measured here, cell by cell.

`side_by_side` pairs the numbers, `correlation` compares the order of the methods, `content` turns
both into tables, which `markdown` and `page` print. `reruns` compares two folders of results.
"""
