"""What may have been meant: candidates, proposals, lost words, joint search, edit log-odds."""
