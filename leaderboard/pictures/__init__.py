"""Example pictures of the runs on the board, for the viewer of its page.

`gallery` chooses them, `files` encodes them and keeps them beside the page; `leaderboard.page`
embeds them where they are not files of their own.
"""
