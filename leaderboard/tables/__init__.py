"""The leaderboard as text: Markdown for readers, LaTeX for papers, CSV for programs.

All are functions of the leaderboard alone, without dates or machine names: equal records give equal
bytes. Any other renderer (the terminal) starts from `grids.sections`.
"""
